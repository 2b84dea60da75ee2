"""The sum of absolute changes: few pixels change much."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from robustcnn.core.norms.batched import column, draw, dual_length, length_of, size_and_room, sum_of
from robustcnn.core.norms.norm import Bounds, Norm, Radius
from robustcnn.core.norms.plane import greedy
from robustcnn.core.norms.saddles import Saddles


class L1(Norm):
    """The sum of all pixels' changes."""

    name, order, sparse = "l1", 1.0, True
    windows = Saddles(order=1, falling=4)

    def usual_eps(self, data: str, channels: int) -> float:  # noqa: ARG002
        return 12.0 if channels > 1 else 10.0

    def project(self, images: Tensor, origin: Tensor, radius: Radius, bounds: Bounds) -> Tensor:
        """Every change shrinks by the one amount that puts the sum of changes, cut by the bounds, on the sphere."""
        size, room = size_and_room(images, origin, bounds)
        inside = length_of(size.minimum(room), 1) <= radius
        kept = _soft(size, room, _shrinkage(size, room, radius))
        precision = torch.finfo(images.dtype)
        goal = radius * (1 - 4 * precision.eps)
        kept = kept * (goal / length_of(kept, 1).clamp_min_(precision.tiny)).clamp_max_(1)
        nearest = origin + torch.where(images >= origin, kept, -kept)
        # Rounding each pixel towards the origin keeps thousands of them from adding up to more than eps.
        nearest = torch.where((nearest - origin).abs() > kept, torch.nextafter(nearest, origin), nearest)
        return torch.where(inside, images, nearest).clamp_(*bounds)

    def steepest(self, gradient: Tensor, share: float | Tensor) -> Tensor:
        flat = gradient.flatten(1)
        size = flat.abs()
        pixels = size.shape[1]
        if isinstance(share, Tensor):
            counts = (share * pixels).round().long().clamp(1, pixels)
            least = size.sort(1, descending=True).values.gather(1, counts[:, None] - 1)
        else:
            least = size.topk(min(max(round(share * pixels), 1), pixels), dim=1).values[:, -1:]
        chosen = (size >= least) & (size > 0)
        return (flat.sign() * chosen / chosen.sum(1, keepdim=True).clamp_min_(1)).reshape(gradient.shape)

    def shrink(self, change: Tensor, length: Radius) -> Tensor:
        size = change.abs()
        shorter = change.sign() * _soft(size, size, _shrinkage(size, size, length))
        return torch.where(length_of(size, 1) <= length, change, shorter)

    def length(self, change: Tensor) -> Tensor:
        return length_of(change, 1)

    def dual(self, gradient: Tensor) -> Tensor:
        return dual_length(gradient, math.inf)

    def ball(self, like: Tensor, radius: Radius, generator: torch.Generator) -> Tensor:
        # Exponential draws divided by their sum and one draw more are uniform in the simplex (Barthe et al. 2005).
        size = -torch.log1p(-draw(torch.rand, like, generator))
        spare = -torch.log1p(-draw(torch.rand, column(like), generator))
        sign = torch.where(draw(torch.rand, like, generator) < 0.5, -1, 1)
        return radius * sign * size / (length_of(size, 1) + spare)

    def surface(self, like: Tensor, radius: Radius, generator: torch.Generator) -> Tensor:
        # A Gaussian draw projected to the ball: sparse, as AutoPGD starts in l1 (Croce & Hein 2021).
        direction = draw(torch.randn, like, generator)
        size = direction.abs()
        return direction.sign() * _soft(size, size, _shrinkage(size, size, radius))

    def plane_moves(self, weight: Tensor, room: Tensor, need: Tensor) -> Tensor:
        return greedy(weight, room, need)

    def greatest_gain(self, slope: Tensor, room: Tensor, radius: Radius) -> Tensor:
        """By duality: m radius + the sum of room (slope - m)+, for any m >= 0."""
        high = slope.amax(-1, keepdim=True)
        low, least = torch.zeros_like(high), (slope * room).sum(-1, keepdim=True).minimum(high * radius)
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            value = middle * radius + (room * (slope - middle).clamp_min(0)).sum(-1, keepdim=True)
            least = least.minimum(value)
            too_small = (room * (slope > middle)).sum(-1, keepdim=True) > radius
            low, high = torch.where(too_small, middle, low), torch.where(too_small, high, middle)
        return least


_HALVINGS = 16
"""Of the search for the closest bound; every m gives a true one."""


def _soft(size: Tensor, room: Tensor, shrinkage: Tensor) -> Tensor:
    return (size - shrinkage).clamp_min_(0).minimum(room)


def _shrinkage(size: Tensor, room: Tensor, radius: Radius) -> Tensor:
    """The amount by which each change must shrink for their sum, each cut at its room, to be `radius`."""
    low, high = torch.zeros_like(column(size)), length_of(size, math.inf)
    for _ in range(-round(math.log2(torch.finfo(size.dtype).eps))):
        middle = (low + high) / 2
        too_long = sum_of(_soft(size, room, middle)) > radius
        low, high = torch.where(too_long, middle, low), torch.where(too_long, high, middle)
    # Bisection has found which pixels are free; for those the amount has a closed form.
    free, stuck = (size > high) & (size - high < room), size - high >= room
    surplus = sum_of(size.masked_fill(~free, 0)) + sum_of(room.masked_fill(~stuck, 0)) - radius
    return torch.where(sum_of(free) > 0, surplus / sum_of(free), high).clamp(low, high)
