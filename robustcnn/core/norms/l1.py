"""The sum of absolute changes: few pixels change much."""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import Tensor

from robustcnn.core.fused import fused
from robustcnn.core.norms.batched import (
    column,
    draw,
    dual_length,
    length_of,
    per_example,
    pick,
    sum_of,
)
from robustcnn.core.norms.norm import Bounds, Norm, Projector, Radius
from robustcnn.core.norms.ordered import kth_largest
from robustcnn.core.norms.plane import greedy
from robustcnn.core.norms.saddles import Saddles
from robustcnn.core.norms.sorted_root import SEARCHED


class L1(Norm):
    """The sum of all pixels' changes."""

    name, order, sparse = "l1", 1.0, True
    windows = Saddles(order=1, falling=4)

    def usual_eps(self, data: str, channels: int) -> float:  # noqa: ARG002
        return 12.0 if channels > 1 else 10.0

    def project(self, images: Tensor, origin: Tensor, radius: Radius, bounds: Bounds) -> Tensor:
        return self.projector(origin, radius, bounds)(images)

    def projector(self, origin: Tensor, radius: Radius, bounds: Bounds) -> Projector:
        """Every change shrinks by the one amount that puts the sum of changes, cut by the bounds, on the sphere."""
        if origin.device.type in SEARCHED:
            return partial(_nearest_by_search, origin=origin, radius=radius, bounds=bounds)
        least, most = (bound - origin for bound in bounds)
        limit = radius.flatten(1) if isinstance(radius, Tensor) else radius
        # Positive where a pixel begins to count, negative where it is cut.
        turn = origin.new_ones(2 * origin.shape[1:].numel())
        turn[len(turn) // 2 :] = -1
        # A look at the first 1 and the first -1: numbers of the host's own would have to be sent to a device.
        rounded = turn[:: len(turn) // 2] * (1 + torch.finfo(origin.dtype).eps)
        return lambda images: _nearest_by_order(images, origin, least, most, turn, rounded, limit, *bounds)

    def steepest(self, gradient: Tensor, share: float | Tensor) -> Tensor:
        flat = gradient.flatten(1)
        size = flat.abs()
        pixels = size.shape[1]
        counts: Tensor | int
        if isinstance(share, Tensor):
            counts = (share * pixels).round().long().clamp_(1, pixels) if share.is_floating_point() else share
        else:
            counts = min(max(round(share * pixels), 1), pixels)
        least = kth_largest(size, counts)
        chosen = size >= least.clamp_min_(torch.finfo(size.dtype).smallest_normal)
        return flat.sign().mul_(chosen).div_(chosen.sum(1, keepdim=True).clamp_min_(1)).reshape(gradient.shape)

    def shrink(self, change: Tensor, length: Radius) -> Tensor:
        size = change.abs()
        shorter = change.sign() * _soft(size, size, _shrinkage(size, length))
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
        return direction.sign() * _soft(size, size, _shrinkage(size, radius))

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


def _nearest_by_search(images: Tensor, *, origin: Tensor, radius: Radius, bounds: Bounds) -> Tensor:
    """Sizes shrink, then signs come back; who is inside already stays."""
    change, precision = images - origin, torch.finfo(images.dtype)
    # How far each pixel has moved, and how much of that is within bounds.
    size, room = change.abs(), images.clamp(*bounds).sub_(origin).abs_()
    kept = _soft(size, room, _by_search(size, room, radius))
    goal = radius * (1 - 2 * precision.eps)
    kept = kept.mul_((goal / sum_of(kept).clamp_min_(precision.tiny)).clamp_max_(1))
    return _put_back((sum_of(room) <= radius).flatten(), kept.copysign_(change), images, origin).clamp_(*bounds)


@fused
def _nearest_by_order(
    images: Tensor,
    origin: Tensor,
    least: Tensor,
    most: Tensor,
    turn: Tensor,
    rounded: Tensor,
    limit: Radius,
    low: float,
    high: float,
) -> Tensor:
    """The same by the order in which pixels vanish and get cut; what the bounds cut is left to them."""
    # The sizes below which each pixel begins to count, and counts no more: what it lies beyond the bounds.
    marks = images.new_empty(len(images), 2, images.shape[1:].numel())
    change, beyond = (part.view_as(images) for part in marks.unbind(1))
    torch.clamp(torch.sub(images, origin, out=change), least, most, out=beyond)
    torch.sub(change, beyond, out=beyond)
    amount, reached = _by_sorting(marks.abs().flatten(1), turn, limit)
    upper, lower = torch.mul(amount, rounded, out=amount.new_empty(len(amount), 2, dtype=images.dtype)).unbind(1)
    cut = change.clamp(per_example(lower, images), per_example(upper, images))
    return _put_back((reached <= limit).flatten(), change - cut, images, origin).clamp_(low, high)


def _put_back(inside: Tensor, change: Tensor, images: Tensor, origin: Tensor) -> Tensor:
    # Rounding each pixel towards the origin keeps thousands of them from adding up to more than eps.
    return pick(inside, images, torch.nextafter(change.add_(origin), origin))


def _soft(size: Tensor, room: Tensor, shrinkage: Tensor) -> Tensor:
    return (size - shrinkage).clamp_min_(0).minimum(room)


def _shrinkage(size: Tensor, radius: Radius) -> Tensor:
    """The amount by which each change must shrink for their sum to be `radius`; at least 0."""
    if size.device.type in SEARCHED:
        return _by_search(size, size, radius)
    flat, limit = size.flatten(1), radius.flatten(1) if isinstance(radius, Tensor) else radius
    amount, _ = _by_sorting(flat, torch.ones_like(flat[0]), limit)
    return per_example(amount.mul_(1 + torch.finfo(size.dtype).eps).to(size.dtype), size)


def _by_search(size: Tensor, room: Tensor, radius: Radius) -> Tensor:
    """Newton's method on a sum that is piecewise linear in the amount, inside a bracket that each round narrows."""
    precision = torch.finfo(size.dtype)
    low, high = torch.zeros_like(column(size)), length_of(size, math.inf)
    # No pixel shrinks faster than the amount grows.
    amount = ((sum_of(size.minimum(room)) - radius) / size.shape[1:].numel()).clamp_min_(0).minimum(high)
    over, kept, before = torch.empty_like(size), torch.empty_like(size), torch.full_like(amount, torch.inf)
    for _ in range(_ROUNDS):
        torch.minimum(torch.clamp_min(torch.sub(size, amount, out=over), 0, out=kept), room, out=kept)
        surplus = sum_of(kept) - radius
        missed = surplus.abs()
        # Those that neither vanished nor are still cut at their room.
        free = sum_of(torch.eq(over, kept, out=over))
        # To the rounding of the sum and of the amount itself.
        found = missed <= precision.eps * (radius + free * high)
        if bool(found.logical_or_(high - low <= precision.eps * high).all()):
            break
        low, high = torch.where(surplus > 0, amount, low), torch.where(surplus > 0, high, amount)
        newton = amount + surplus / free.clamp_min_(1)
        # Cut pixels make the sum bend the wrong way: where that gains too little, the bracket is halved.
        halved = (newton <= low) | (newton >= high) | (missed > before / 2)
        amount, before = torch.where(found, amount, torch.where(halved, (low + high) / 2, newton)), missed
    return amount


def _by_sorting(marks: Tensor, turn: Tensor, radius: Radius) -> tuple[Tensor, Tensor]:
    """The same amount (N, 1) from the order of the marks (N, D) at which pixels turn (D,); and the sum for none.

    In turning by 1 a pixel begins to count, in turning by -1 it is cut and counts no more.
    """
    # Stable, so that a pixel that may not move at all begins to count before it counts no more.
    ranked, order = marks.sort(dim=1, descending=True, stable=True)
    turns = ranked.new_empty(2, *ranked.shape)
    torch.mul(ranked, torch.take(turn, order, out=turns[1]), out=turns[0])
    sums, counting = turns.cumsum(2, dtype=torch.float64)
    # What the amount would be if it lay between this mark and the next one; below its mark up to the right one.
    amounts = (sums - radius).div_(counting)
    passed = (amounts < ranked)[:, 1:].sum(1, keepdim=True)
    return amounts.gather(1, passed).clamp_min_(0), sums[:, -1:]


_ROUNDS = 100
"""Images need 5 to 8; each halves what is missed or, the next one, the bracket."""
