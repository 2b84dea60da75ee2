"""The Square attack's windows in l2: two pyramids of opposite sign, moved about and never longer than eps."""

from __future__ import annotations

import torch
from torch import Tensor

from robustcnn.core.norms.batched import signs
from robustcnn.core.norms.norm import Radius

TINY = 1e-12


class Saddles:
    """A grid of saddles to begin with; then the mass of one window goes into a saddle in another, for each image."""

    least_side, odd, shared = 3, True, False

    def start(self, images: Tensor, radius: Radius, generator: torch.Generator) -> Tensor:
        """A grid of about 5 x 5 saddles with random signs, together of norm eps."""
        count, channels, height, width = images.shape
        side = max(min(height, width) // 5, 1)
        rows, columns = height // side, width // side
        colour = signs((count, channels, rows, columns), images, generator)
        # A Kronecker product by broadcasting: every tile is the saddle times its sign.
        grid = colour[:, :, :, None, :, None] * saddle(side, images)[:, None, :]
        grid = grid.reshape(count, channels, rows * side, columns * side)
        top, left = (height - rows * side) // 2, (width - columns * side) // 2
        delta = torch.zeros_like(images)
        delta[:, :, top : top + rows * side, left : left + columns * side] = grid
        return images + radius * _unit(delta)

    def change(self, images: Tensor, current: Tensor, radius: Radius, side: int, generator: torch.Generator) -> Tensor:
        """The mass of one window, and what is left of eps, goes into a saddle in another window."""
        delta = current - images
        here, there = offsets(images, side, generator), offsets(images, side, generator)
        target, source = inside(*here, side), inside(*there, side)
        spare = (radius**2 - delta.square().sum((1, 2, 3), keepdim=True)).clamp_min(0)
        budget = (delta.square() * (target | source)).sum((2, 3), keepdim=True) + spare / images.shape[1]
        kept = delta * target
        kept = kept / (_norm(kept) + TINY)
        colour = signs((*images.shape[:2], 1, 1), images, generator)
        painted = _saddles(images, *here, side, generator) * target * colour + kept
        painted = painted / (_norm(painted) + TINY) * budget.sqrt()
        return images + radius * _unit(torch.where(target, painted, delta * ~source))


def offsets(like: Tensor, side: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Each pixel's row (N, H, 1) and column (N, 1, W) in a random window of its image; those inside are 0..side-1."""
    count, _, height, width = like.shape
    corners = []
    for extent in (height, width):
        drawn = torch.randint(0, extent - side + 1, (count, 1), generator=generator, device=generator.device)
        corners.append(torch.arange(extent, device=like.device) - drawn.to(like.device))
    return corners[0][:, :, None], corners[1][:, None, :]


def inside(rows: Tensor, columns: Tensor, side: int) -> Tensor:
    """The window as a mask (N, 1, H, W)."""
    return (((rows >= 0) & (rows < side)) & ((columns >= 0) & (columns < side)))[:, None]


def bump(rows: int, columns: int) -> Tensor:
    """The pyramid of Andriushchenko et al. (2020), equation 2: towards the middle its rings grow like sums of 1/k^2."""
    rings = torch.maximum(
        (torch.arange(rows) - rows // 2).abs()[:, None], (torch.arange(columns) - columns // 2).abs()[None]
    )
    steps = torch.arange(1, max(rows // 2, columns // 2) + 2).double().square().reciprocal()
    heights = steps.flip(0).cumsum(0).flip(0)
    return heights[rings]


def saddle(side: int, like: Tensor) -> Tensor:
    """Two pyramids of opposite sign, one above the other, of l2 norm 1."""
    pattern = torch.cat([bump(side // 2, side), -bump(side - side // 2, side)])
    return (pattern / pattern.square().sum().sqrt()).to(like.device, like.dtype)


def _saddles(images: Tensor, rows: Tensor, columns: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """A saddle at each image's window (N, 1, H, W), lying on its side in half of them."""
    lying = signs((len(images), 1, 1), images, generator) > 0
    rows, columns = rows.clamp(0, side - 1), columns.clamp(0, side - 1)
    pattern = saddle(side, images)
    return torch.where(lying, pattern[columns, rows], pattern[rows, columns])[:, None]


def _norm(delta: Tensor) -> Tensor:
    """Of each channel."""
    return delta.square().sum((2, 3), keepdim=True).sqrt()


def _unit(delta: Tensor) -> Tensor:
    return delta / (delta.square().sum((1, 2, 3), keepdim=True).sqrt() + TINY)
