"""The nearest point of a hyperplane inside the box of valid pixels, exactly and for a whole batch at once."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from robustcnn.core.norms.norm import Bounds, Norm
from robustcnn.core.norms.ordered import falling
from robustcnn.core.norms.sorted_root import SEARCHED, sorted_root

MOST_STEPS: Final = 64
"""Newton on a concave piecewise-linear function ends by itself, nearly always after 3 to 12 steps."""


def onto_plane(points: Tensor, normal: Tensor, gap: Tensor, *, norm: Norm, bounds: Bounds) -> Tensor:
    """The point z of the box nearest to each point with <normal, z - point> = gap; as near as the box allows if none.

    Points and normals are (N, ...) in the same shape, gaps (N,); the points lie in the box already.
    """
    flat, slope = points.flatten(1), normal.flatten(1)
    # Only the direction of a normal matters; rescaling keeps tiny gradients away from underflow.
    scale = slope.abs().amax(1).clamp_min(torch.finfo(slope.dtype).tiny)
    slope, need = slope / scale[:, None], gap / scale
    direction = slope.sign() * need.sign()[:, None]
    # To the bound ahead; as products, because choices by pixel are several times slower on a CPU.
    middle, half = (bounds[0] + bounds[1]) / 2, (bounds[1] - bounds[0]) / 2
    room = (half - direction * (flat - middle)).clamp_min_(0)
    moves = norm.plane_moves(slope.abs(), room, need.abs())
    return (flat + direction * moves).clamp(*bounds).reshape(points.shape)


def along(speed: Tensor, weight: Tensor, room: Tensor, need: Tensor) -> Tensor:
    """min(time * speed, room) for the time at which the weighted moves add up to the need."""
    if need.device.type not in SEARCHED:
        ends = room / speed.clamp_min(torch.finfo(speed.dtype).tiny)
        root = sorted_root(ends, torch.stack([room, speed]).mul_(weight), need[:, None])
        return torch.minimum(root.to(speed.dtype) * speed, room)
    gain, whole = weight * speed, weight * room
    time = torch.zeros_like(need)
    for _ in range(MOST_STEPS):
        # 1 while a pixel moves, 0 once it is at its bound.
        moves = torch.addcmul(room, time[:, None], speed, value=-1).sign_().clamp_min_(0)
        moving, arrived = (gain * moves).sum(1), (whole * (1 - moves)).sum(1)
        # From the left, Newton never passes the root of a concave function: a step back is rounding, and the end.
        later = torch.where(moving > 0, (need - arrived) / moving, time)
        if not (later > time).any():
            break
        time = torch.maximum(time, later)
    # A pixel at its bound may still be wanted there when nothing moves any more: the hyperplane is out of reach.
    return torch.minimum(time[:, None] * speed, room)


def greedy(weight: Tensor, room: Tensor, need: Tensor) -> Tensor:
    """Pixels go to their bound one after the other, the heaviest first: a fractional knapsack."""
    heaviest, order = falling(weight)
    gain = heaviest * room.gather(1, order)
    before = gain.cumsum(1) - gain
    wanted = ((need[:, None] - before) / heaviest.clamp_min(torch.finfo(weight.dtype).tiny)).clamp_min(0)
    return torch.zeros_like(room).scatter(1, order, torch.minimum(wanted, room.gather(1, order)))
