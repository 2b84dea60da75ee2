"""The Square attack's windows in l2 and l1: two pyramids of opposite sign, moved about and never longer than eps."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

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
        delta, channels = (current - images).flatten(2), images.shape[1]
        radius = radius.view(-1, 1, 1) if isinstance(radius, Tensor) else radius
        tools = self.tools(side, images)
        corners, kinds = self.choices(images, tools, generator)
        places = (corners[:, :, None] + tools.window)[:, :, None].expand(-1, -1, channels, -1)
        target, source = places.unbind(1)
        # Of both windows; what lies in both counts once.
        parts = delta.new_empty(2, *target.shape)
        torch.gather(delta, 2, target, out=parts[0])
        rest = delta.scatter(2, target, 0)
        torch.gather(rest, 2, source, out=parts[1])
        lengths = self._size(parts, (3,))
        # What rounding has put outside the ball comes back in here.
        spare = radius**self.order - self._size(delta, (1, 2)) ** self.order
        mass = (lengths**self.order).sum(0).add_(spare, alpha=1 / channels).clamp_min_(0)
        painted = (parts[0] / (lengths[0] + TINY)).add_(tools.saddles[kinds])
        amount = mass.sqrt_() if self.order == 2 else mass.mul_(channels)
        painted = painted.mul_(amount / self._size(painted, (2,)).add_(TINY))
        # All mass is where it was, or in the target: in l2 the change is as long as eps again.
        return rest.scatter_(2, source, 0).scatter_(2, target, painted).view_as(images).add_(images)

    def choices(self, images: Tensor, tools: Tools, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """The first pixels of the target and of the source (N, 2), and the kind of each channel's saddle (N, C)."""
        shape = len(images), len(tools.extents)
        drawn = torch.rand(shape, generator=generator, device=generator.device, dtype=torch.float64)
        whole = (drawn.to(images.device) * tools.extents).long()
        tops, lefts, lying, colours = whole[:, :2], whole[:, 2:4], whole[:, 4:5], whole[:, 5:]
        return torch.add(lefts, tops, alpha=images.shape[3]), torch.add(colours, lying, alpha=2)

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

    def _size(self, delta: Tensor, dims: tuple[int, ...]) -> Tensor:
        """The norm over these dimensions."""
        size: Tensor = torch.linalg.vector_norm(delta, self.order, dim=dims, keepdim=True)
        return size

    def _unit(self, delta: Tensor) -> Tensor:
        return delta / (self._mass(delta, (1, 2, 3)) ** (1 / self.order) + TINY)


@lru_cache(maxsize=128)
def _remembered(saddles: Saddles, side: int, shape: torch.Size, device: torch.device, dtype: torch.dtype) -> Tools:
    return saddles.made(side, shape, device, dtype)
