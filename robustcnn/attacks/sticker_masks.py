"""Where on a sign stickers may stick: masks (1, 1, H, W) in [0, 1], by a box that says where in the picture it is."""

from __future__ import annotations

import torch
from torch import Tensor

from robustcnn.core.runtime import seeded

Box = tuple[float, float, float, float]
"""Left, top, right and bottom edge as parts of the picture's width and height."""
PEN = 0.12
"""Half the width of a stroke, in units of half the sign."""
WHOLE: Box = (0.0, 0.0, 1.0, 1.0)
"""A sign that fills its picture."""


def two_bars(height: int, width: int, *, sign: Box = WHOLE) -> Tensor:
    """One bar above and one below the middle of the sign, where STOP stands (Eykholt et al. 2018)."""
    x, y = _plane(height, width, sign)
    return _as_mask((x.abs() <= 0.75) & ((y.abs() - 0.5).abs() <= 0.19))


def graffiti(height: int, width: int, *, sign: Box = WHOLE, seed: int = 0, strokes: int = 6) -> Tensor:
    """Free-form strokes with a broad pen, from side to side of the sign; another seed sprays others."""
    generator, (x, y) = seeded(seed), _plane(height, width, sign)
    covered = torch.zeros(height, width, dtype=torch.bool)
    for _ in range(strokes):
        start, bend, end = (2 * torch.rand(3, 2, generator=generator) - 1) * torch.tensor([0.75, 0.6])
        for t in torch.linspace(0, 1, 60).tolist():
            centre = (1 - t) ** 2 * start + 2 * t * (1 - t) * bend + t**2 * end
            covered |= torch.hypot(x - centre[0], y - centre[1]) <= PEN
    return _as_mask(covered)


def whole_sign(height: int, width: int, *, sign: Box = WHOLE) -> Tensor:
    """A poster over all of the box; times the outline of the sign where that is known."""
    x, y = _plane(height, width, sign)
    return _as_mask((x.abs() <= 1) & (y.abs() <= 1))


def _plane(height: int, width: int, sign: Box) -> tuple[Tensor, Tensor]:
    """Pixel centres in the sign's own plane, -1..1 both ways, y down: x as (1, W) and y as (H, 1)."""
    left, top, right, bottom = sign
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
        raise ValueError(f"sign must be left, top, right, bottom as parts of the picture in [0, 1], got {sign}")
    x, y = ((torch.arange(side) + 0.5) / side for side in (width, height))
    return (2 * (x - left) / (right - left) - 1)[None], (2 * (y - top) / (bottom - top) - 1)[:, None]


def _as_mask(covered: Tensor) -> Tensor:
    return covered[None, None].to(torch.float32)
