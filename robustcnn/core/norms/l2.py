"""The Euclidean norm: the square root of the sum of squared changes."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from robustcnn.core.norms.batched import column, draw, dual_length, length_of, scaled, size_and_room, sum_of
from robustcnn.core.norms.norm import Bounds, Norm, Radius
from robustcnn.core.norms.plane import along
from robustcnn.core.norms.saddles import Saddles


class L2(Norm):
    """The Euclidean length of the change."""

    name, order = "l2", 2.0
    windows = Saddles(order=2, falling=2)

    def usual_eps(self, data: str, channels: int) -> float:  # noqa: ARG002
        return 0.5 if channels > 1 else 1.5

    def project(self, images: Tensor, origin: Tensor, radius: Radius, bounds: Bounds) -> Tensor:
        """clip(origin + t (images - origin)) is nearest for the one t in [0, 1] that puts it on the sphere."""
        size, room = size_and_room(images, origin, bounds)
        inside = length_of(size.minimum(room), 2) <= radius
        share = _reachable_share(size, room, _rounded_down(radius, images, bounds)).masked_fill_(inside, 1)
        # lerp, because origin + 1 * (images - origin) is not quite images.
        return torch.lerp(origin, images, share).clamp_(*bounds)

    def steepest(self, gradient: Tensor, share: float | Tensor) -> Tensor:  # noqa: ARG002
        direction, _ = scaled(gradient)
        return direction / length_of(direction, 2).clamp_min_(1)

    def shrink(self, change: Tensor, length: Radius) -> Tensor:
        return change * (length / length_of(change, 2).clamp_min(torch.finfo(change.dtype).tiny)).clamp_max(1)

    def length(self, change: Tensor) -> Tensor:
        return length_of(change, 2)

    def dual(self, gradient: Tensor) -> Tensor:
        return dual_length(gradient, 2)

    def ball(self, like: Tensor, radius: Radius, generator: torch.Generator) -> Tensor:
        share = draw(torch.rand, column(like), generator) ** (1 / like[0].numel())
        return self.surface(like, radius, generator) * share

    def surface(self, like: Tensor, radius: Radius, generator: torch.Generator) -> Tensor:
        direction = draw(torch.randn, like, generator)
        return radius * direction / length_of(direction, 2)

    def plane_moves(self, weight: Tensor, room: Tensor, need: Tensor) -> Tensor:
        return along(weight, weight, room, need)

    def greatest_gain(self, slope: Tensor, room: Tensor, radius: Radius) -> Tensor:
        """By weak duality: for each multiplier m > 0, the sum of max_t (slope t - m t^2 / 2), plus m radius^2 / 2."""
        tiny = torch.finfo(slope.dtype).tiny ** 0.5
        square = torch.as_tensor(radius, dtype=slope.dtype, device=slope.device).square()
        least = (slope * room).sum(-1, keepdim=True)
        multiplier = (slope.square().sum(-1, keepdim=True) / square.clamp_min(tiny)).sqrt().clamp_min(tiny)
        for _ in range(_MULTIPLIERS):
            moved = (slope / multiplier).minimum(room)
            value = (slope * moved - multiplier * moved.square() / 2).sum(-1, keepdim=True) + multiplier * square / 2
            least = least.minimum(value)
            free = moved < room
            left = square - (room.square() * ~free).sum(-1, keepdim=True)
            wanted = ((slope.square() * free).sum(-1, keepdim=True) / left.clamp_min(tiny)).sqrt()
            multiplier = torch.where((left > 0) & (wanted > 0), wanted, multiplier / 2).clamp_min(tiny)
        return least


_MULTIPLIERS = 8
"""Rounds of the search for the one that gives the closest bound; every one gives a true one."""


def _rounded_down(radius: Radius, images: Tensor, bounds: Bounds) -> Radius:
    """A radius that, whatever the rounding of sums and of single pixels, does not end up above eps."""
    unit = torch.finfo(images.dtype).eps
    pixel = unit / 4 * max(map(abs, bounds))
    rounded = radius * (1 - 4 * unit) - pixel * math.sqrt(images[0].numel())
    return rounded.clamp_min(0) if isinstance(rounded, Tensor) else max(rounded, 0.0)


def _reachable_share(size: Tensor, room: Tensor, radius: Radius) -> Tensor:
    """The greatest t in [0, 1] for which the changes min(t * size, room) are no longer than `radius`.

    Newton's method on the square of t, from below: the sum of squares is concave and piecewise linear in it, so that
    no step overshoots and the set of pixels at their bound only grows.
    """
    share = (radius / length_of(size, 2)).clamp_max_(1)
    before = torch.zeros_like(size, dtype=torch.bool)
    for _ in range(_ROUNDS):
        stuck = share * size >= room
        # On a GPU asking costs more than the rounds it saves.
        if size.device.type == "cpu" and torch.equal(stuck, before):
            break
        before = stuck
        left = radius**2 - sum_of(room.square().masked_fill(~stuck, 0))
        free = sum_of(size.square().masked_fill(stuck, 0))
        found = (left.clamp_min_(0) / free).sqrt_().clamp_max_(1)
        share = torch.where(free > 0, found.maximum(share), 1)
    return share


_ROUNDS = 12
"""Images need 4, pixels spread over twelve decades needed 12; too few would end short of the sphere, never outside."""
