"""The Square attack's windows in l2 and l1: two pyramids of opposite sign, moved about and never longer than eps."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from robustcnn.core.fused import fused
from robustcnn.core.norms.batched import signs
from robustcnn.core.norms.norm import Radius

TINY = 1e-12


class Tools(NamedTuple):
    """All that changing windows of one side in images of one shape takes."""

    saddles: Tensor
    """(4, side^2): one that stands and one that lies, each of either colour."""
    window: Tensor
    """A window's pixels, counted from its first one."""
    extents: Tensor
    """How many tops (of target and source), lefts (of both), ways to lie, and colours (for each channel) there are."""


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
        upright = self.saddle(side).to(images)
        lying = upright.T
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
        tools = self.tools(side, images)
        corners, kinds = self.choices(images, tools, generator)
        return _moved(images, current, radius, corners, kinds, tools.saddles, tools.window, self.order)

    def choices(self, images: Tensor, tools: Tools, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """The first pixels of the target and of the source (N, 2), and the kind of each channel's saddle (N, C)."""
        shape = len(images), len(tools.extents)
        drawn = torch.rand(shape, generator=generator, device=generator.device, dtype=torch.float64)
        return _chosen(drawn.to(images.device), tools.extents, images.shape[3])

    def tools(self, side: int, like: Tensor) -> Tools:
        """What windows of this side are changed with."""
        # Every query needs it, and a device would be waited for. What only stands for a tensor must not be kept.
        make = _remembered if type(like) is Tensor else Saddles.made
        return make(self, side, like.shape[1:], like.device, like.dtype)

    def made(self, side: int, shape: torch.Size, device: torch.device, dtype: torch.dtype) -> Tools:
        """`tools`, anew."""
        channels, height, width = shape
        standing, along = self.saddle(side), torch.arange(side)
        counts = [height - side + 1] * 2 + [width - side + 1] * 2 + [2] * (1 + channels)
        return Tools(
            saddles=torch.stack([-standing, standing, -standing.T, standing.T]).flatten(1).to(device, dtype),
            window=(along[:, None] * width + along).flatten().to(device),
            # A little less, so that no rounding makes a draw from [0, 1) reach the count itself.
            extents=torch.tensor(counts, dtype=torch.float64).mul_(1 - 1e-12).to(device),
        )

    def saddle(self, side: int) -> Tensor:
        """Two pyramids of equal size and opposite sign, one above the other, together of norm 1."""
        upper, lower = (self._bump(rows, side) for rows in (side // 2, side - side // 2))
        halves = [half / self._length(half).clamp_min(TINY) for half in (upper, lower)]
        pattern = torch.cat([halves[0], -halves[1]])
        return pattern / self._length(pattern)

    def _bump(self, rows: int, columns: int) -> Tensor:
        """A pyramid: towards the middle its rings grow like sums of 1 / k^falling (equation 2 of the paper)."""
        down, across = (torch.arange(extent) - extent // 2 for extent in (rows, columns))
        rings = torch.maximum(down.abs()[:, None], across.abs()[None])
        steps = (torch.arange(1, max(rows // 2, columns // 2) + 2).double() ** self.falling).reciprocal()
        return steps.flip(0).cumsum(0).flip(0)[rings]

    def _mass(self, delta: Tensor, dims: tuple[int, ...]) -> Tensor:
        """What adds up over pixels: squares in l2, sizes in l1."""
        return (delta.square() if self.order == 2 else delta.abs()).sum(dims, keepdim=True)

    def _length(self, delta: Tensor) -> Tensor:
        return self._mass(delta, tuple(range(delta.ndim))) ** (1 / self.order)

    def _unit(self, delta: Tensor) -> Tensor:
        return delta / (self._mass(delta, (1, 2, 3)) ** (1 / self.order) + TINY)


@fused
def _chosen(drawn: Tensor, extents: Tensor, width: int) -> tuple[Tensor, Tensor]:
    whole = (drawn * extents).long()
    tops, lefts, lying, colours = whole[:, :2], whole[:, 2:4], whole[:, 4:5], whole[:, 5:]
    return torch.add(lefts, tops, alpha=width), torch.add(colours, lying, alpha=2)


@fused
def _moved(
    images: Tensor,
    current: Tensor,
    radius: Radius,
    corners: Tensor,
    kinds: Tensor,
    saddles: Tensor,
    window: Tensor,
    order: int,
) -> Tensor:
    """The images with the mass of their windows at the second corner in a saddle at the first."""
    delta, channels = (current - images).flatten(2), images.shape[1]
    radius = radius.view(-1, 1, 1) if isinstance(radius, Tensor) else radius
    places = (corners[:, :, None] + window)[:, :, None].expand(-1, -1, channels, -1)
    target, source = places.unbind(1)
    # Of both windows; what lies in both counts once.
    rest = delta.scatter(2, target, 0)
    parts = torch.stack([delta.gather(2, target), rest.gather(2, source)])
    lengths = _size(parts, (3,), order)
    # What rounding has put outside the ball comes back in here.
    spare = radius**order - _size(delta, (1, 2), order) ** order
    mass = (lengths**order).sum(0).add_(spare, alpha=1 / channels).clamp_min_(0)
    painted = (parts[0] / (lengths[0] + TINY)).add_(saddles[kinds])
    amount = mass.sqrt_() if order == 2 else mass.mul_(channels)
    painted = painted.mul_(amount / _size(painted, (2,), order).add_(TINY))
    # All mass is where it was, or in the target: in l2 the change is as long as eps again.
    return rest.scatter_(2, source, 0).scatter_(2, target, painted).view_as(images).add_(images)


def _size(delta: Tensor, dims: tuple[int, ...], order: int) -> Tensor:
    """The norm over these dimensions."""
    size: Tensor = torch.linalg.vector_norm(delta, order, dim=dims, keepdim=True)
    return size


@lru_cache(maxsize=128)
def _remembered(saddles: Saddles, side: int, shape: torch.Size, device: torch.device, dtype: torch.dtype) -> Tools:
    return saddles.made(side, shape, device, dtype)
