"""The Square attack's windows in l2 and l1: two pyramids of opposite sign, moved about and never longer than eps."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import torch
from torch import Tensor

from robustcnn.core.norms.batched import signs
from robustcnn.core.norms.norm import Radius

TINY = 1e-12


@dataclass(frozen=True, kw_only=True, slots=True)
class Saddles:
    """A grid of saddles to begin with; then the mass of one window goes into a saddle in another, for each image."""

    order: int
    """Of the norm: 2 (Andriushchenko et al. 2020), or 1 (as in AutoAttack)."""
    falling: int
    """The rings of a pyramid grow like sums of 1 / k to this power."""

    least_side: ClassVar[int] = 3
    odd: ClassVar[bool] = True
    shared: ClassVar[bool] = False

    @property
    def overshoots(self) -> bool:
        # In l1 the mass is painted once a channel.
        return self.order == 1

    def start(self, images: Tensor, radius: Radius, generator: torch.Generator) -> Tensor:
        """A grid of about 5 x 5 saddles, each with a random sign and upright or lying, together of norm eps."""
        count, channels, height, width = images.shape
        side = max(min(height, width) // 5, 1)
        rows, columns = height // side, width // side
        colour = signs((count, channels, rows, columns), images, generator)
        upright, lying = self.saddle(side, images), self.saddle(side, images).T
        chosen = signs((count, 1, rows, 1, columns, 1), images, generator) > 0
        # A Kronecker product by broadcasting: every tile is a saddle times its sign.
        tiles = torch.where(chosen, lying[:, None, :], upright[:, None, :]) * colour[:, :, :, None, :, None]
        top, left = (height - rows * side) // 2, (width - columns * side) // 2
        delta = torch.zeros_like(images)
        inner = tiles.reshape(count, channels, rows * side, columns * side)
        delta[:, :, top : top + rows * side, left : left + columns * side] = inner
        return images + radius * self._unit(delta) if self.order == 2 else images + delta

    def change(self, images: Tensor, current: Tensor, radius: Radius, side: int, generator: torch.Generator) -> Tensor:
        """The mass of one window, and what is left of eps, goes into a saddle in another window."""
        delta = current - images
        here, there = offsets(images, side, generator), offsets(images, side, generator)
        target, source = inside(*here, side), inside(*there, side)
        spare = (radius**self.order - self._mass(delta, (1, 2, 3))).clamp_min(0) / images.shape[1]
        mass = self._mass(delta * (target | source), (2, 3)) + spare
        kept = delta * target
        colour = signs((*images.shape[:2], 1, 1), images, generator)
        painted = self._placed(images, *here, side, generator) * target * colour + self._unit_each(kept)
        painted = self._unit_each(painted) * (mass.sqrt() if self.order == 2 else mass * images.shape[1])
        changed = torch.where(target, painted, delta * ~source)
        return images + radius * self._unit(changed) if self.order == 2 else images + changed

    def saddle(self, side: int, like: Tensor) -> Tensor:
        """Two pyramids of equal size and opposite sign, one above the other, together of norm 1."""
        # Every query needs one, and a device would be waited for. What only stands for a tensor must not be kept.
        make = _remembered if type(like) is Tensor else Saddles.made
        return make(self, side, like.device, like.dtype)

    def made(self, side: int, device: torch.device, dtype: torch.dtype) -> Tensor:
        """`saddle`, anew."""
        upper, lower = (self._bump(rows, side) for rows in (side // 2, side - side // 2))
        halves = [half / self._length(half).clamp_min(TINY) for half in (upper, lower)]
        pattern = torch.cat([halves[0], -halves[1]])
        return (pattern / self._length(pattern)).to(device, dtype)

    def _bump(self, rows: int, columns: int) -> Tensor:
        """A pyramid: towards the middle its rings grow like sums of 1 / k^falling (equation 2 of the paper)."""
        down, across = (torch.arange(extent) - extent // 2 for extent in (rows, columns))
        rings = torch.maximum(down.abs()[:, None], across.abs()[None])
        steps = (torch.arange(1, max(rows // 2, columns // 2) + 2).double() ** self.falling).reciprocal()
        return steps.flip(0).cumsum(0).flip(0)[rings]

    def _placed(self, images: Tensor, rows: Tensor, columns: Tensor, side: int, generator: torch.Generator) -> Tensor:
        """A saddle at each image's window (N, 1, H, W), lying on its side in half of them."""
        lying = signs((len(images), 1, 1), images, generator) > 0
        rows, columns = rows.clamp(0, side - 1), columns.clamp(0, side - 1)
        pattern = self.saddle(side, images)
        return torch.where(lying, pattern[columns, rows], pattern[rows, columns])[:, None]

    def _mass(self, delta: Tensor, dims: tuple[int, ...]) -> Tensor:
        """What adds up over pixels: squares in l2, sizes in l1."""
        return (delta.square() if self.order == 2 else delta.abs()).sum(dims, keepdim=True)

    def _length(self, delta: Tensor) -> Tensor:
        return self._mass(delta, tuple(range(delta.ndim))) ** (1 / self.order)

    def _unit_each(self, delta: Tensor) -> Tensor:
        """Every channel of length 1."""
        return delta / (self._mass(delta, (2, 3)) ** (1 / self.order) + TINY)

    def _unit(self, delta: Tensor) -> Tensor:
        return delta / (self._mass(delta, (1, 2, 3)) ** (1 / self.order) + TINY)


@lru_cache(maxsize=128)
def _remembered(saddles: Saddles, side: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    return saddles.made(side, device, dtype)


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
