"""The Euclidean norm: the square root of the sum of squared changes."""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import Tensor

from robustcnn.core.fused import fused
from robustcnn.core.norms.batched import column, draw, dual_length, length_of, per_example
from robustcnn.core.norms.norm import Bounds, Norm, Projector, Radius
from robustcnn.core.norms.plane import along
from robustcnn.core.norms.saddles import Saddles
from robustcnn.core.norms.sorted_root import SEARCHED, greatest_share, running_sums


class L2(Norm):
    """The Euclidean length of the change."""

    name, order = "l2", 2.0
    windows = Saddles(order=2, falling=2)

    def usual_eps(self, data: str, channels: int) -> float:  # noqa: ARG002
        return 0.5 if channels > 1 else 1.5

    def project(self, images: Tensor, origin: Tensor, radius: Radius, bounds: Bounds) -> Tensor:
        return self.projector(origin, radius, bounds)(images)

    def projector(self, origin: Tensor, radius: Radius, bounds: Bounds) -> Projector:
        """clip(origin + t (images - origin)) is nearest for the one t in [0, 1] that puts it on the sphere."""
        goal = rounded_down(radius, origin, bounds)
        if not isinstance(goal, Tensor) and math.isinf(goal):
            return lambda images: images.clamp(*bounds)
        aim = (goal * goal).flatten(1) if isinstance(goal, Tensor) else goal * goal
        if origin.device.type in SEARCHED:
            return partial(_nearest_by_search, origin=origin, radius=radius, aim=aim, bounds=bounds)
        least, most = (bound - origin for bound in bounds)
        one = origin.new_ones(())
        return lambda images: _nearest_by_order(images, origin, least, most, aim, one, *bounds)

    def steepest(self, gradient: Tensor, share: float | Tensor) -> Tensor:  # noqa: ARG002
        return _unit(gradient)

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


@fused
def _unit(gradient: Tensor) -> Tensor:
    return gradient / dual_length(gradient, 2).clamp_min_(torch.finfo(gradient.dtype).tiny)


def _nearest_by_search(images: Tensor, *, origin: Tensor, radius: Radius, aim: Radius, bounds: Bounds) -> Tensor:
    """clip(origin + t (images - origin)) for the greatest t in [0, 1] whose squared distance is at most the aim."""
    change, reach = images - origin, images.clamp(*bounds).sub_(origin)
    inside = length_of(reach, 2) <= radius
    root = _by_search(change.flatten(1).square_(), reach.flatten(1).square_(), aim).sqrt_()
    # Inside already: every bit stays. (lerp, because origin + 1 * (images - origin) is not quite images.)
    share = per_example(root, images).masked_fill_(inside, 1)
    return torch.lerp(origin, images, share).clamp_(*bounds)


def _by_search(squares: Tensor, room: Tensor, aim: Radius) -> Tensor:
    """The p (N, 1) in [0, 1] for which each row of min(p * squares, room) adds up to the aim, by Newton's method.

    The sum is concave and piecewise linear: from what p would be if no pixel got stuck it only grows, never passes the
    root, and ends on it once no pixel gets stuck any more. A row that has ended stays as it is, whatever others need.
    """
    precision = torch.finfo(squares.dtype)
    share = (aim / squares.sum(1, keepdim=True).clamp_min_(precision.tiny)).clamp_max_(1)
    moved, kept = torch.empty_like(squares), torch.empty_like(squares)
    for _ in range(_ROUNDS):
        torch.minimum(torch.mul(squares, share, out=moved), room, out=kept)
        missing = aim - kept.sum(1, keepdim=True)
        # Only what is not stuck gains when p grows. (Numbers at once: of true and false torch's sums take far longer.)
        free = torch.lt(moved, room, out=kept).mul_(moved).sum(1, keepdim=True)
        found = share.addcmul(share, missing / free.clamp_min_(precision.tiny)).clamp_max_(1)
        grows = found > share * (1 + 4 * precision.eps)
        if not bool(grows.any()):
            break
        share = torch.where(grows, found, share)
    return share


@fused
def _nearest_by_order(
    images: Tensor, origin: Tensor, least: Tensor, most: Tensor, aim: Radius, one: Tensor, low: float, high: float
) -> Tensor:
    """The same by the order in which pixels get stuck, without rounds or waiting."""
    # Squares of what is reached for t = 1, and of what would be without bounds.
    squares = images.new_empty(2, len(images), images.shape[1:].numel())
    reach, change = (part.view_as(images) for part in squares)
    torch.clamp(torch.sub(images, origin, out=change), least, most, out=reach)
    squares.square_()
    # Where each pixel gets stuck, in units of t^2. What does not move makes this no number, and comes first.
    stuck, rate = running_sums(squares[0] / squares[1], squares)
    # More than all, or no number, where the goal is not reached.
    root = greatest_share(stuck, rate, stuck[:, -1:] - aim).fmin(one)
    share = torch.sqrt(root, out=images.new_empty(root.shape))
    return torch.lerp(origin, images, per_example(share, images)).clamp_(low, high)


def rounded_down(radius: Radius, images: Tensor, bounds: Bounds) -> Radius:
    """A radius that, whatever the rounding of sums and of single pixels, does not end up above the one given."""
    unit = torch.finfo(images.dtype).eps
    pixel = unit / 4 * max(map(abs, bounds))
    rounded = radius * (1 - 4 * unit) - pixel * math.sqrt(images.shape[1:].numel())
    return rounded.clamp_min(0) if isinstance(rounded, Tensor) else max(rounded, 0.0)


_ROUNDS = 16
"""Images need 2 to 4, pixels spread over twelve decades needed 12; too few end short of the sphere, never outside."""
