"""The signs themselves: each drawn once, clean and seen from the front."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from math import cos, pi, sin

import torch
from torch import Tensor

from robustcnn.data.signs.pen import Pen, Point, regular

RED = (193, 18, 31)
BLUE = (0, 82, 165)
YELLOW = (255, 196, 0)
WHITE = (248, 248, 246)
BLACK = (22, 22, 24)
FINE = 1024
"""Signs are drawn this fine and then averaged down."""


def _stop(pen: Pen) -> None:
    pen.polygon(regular(8, 0.99, turn=pi / 8), WHITE)
    pen.polygon(regular(8, 0.915, turn=pi / 8), RED)
    pen.text("STOP", WHITE, width=1.46, height=0.56, bold=0.034)


def _yield(pen: Pen) -> None:
    pen.polygon([(x, y - 0.26) for x, y in regular(3, 0.98, turn=pi / 2)], WHITE, rounding=0.1)
    pen.polygon([(x, y - 0.26) for x, y in regular(3, 0.96, turn=pi / 2)], RED, rounding=0.08)
    pen.polygon([(x, y - 0.26) for x, y in regular(3, 0.58, turn=pi / 2)], WHITE, rounding=0.03)


def _no_entry(pen: Pen) -> None:
    pen.disc(0.95, WHITE)
    pen.disc(0.91, RED)
    pen.bar((-0.68, 0), (0.68, 0), WHITE, width=0.34)


def _speed_limit(pen: Pen, *, limit: int) -> None:
    pen.disc(0.95, WHITE)
    pen.disc(0.92, RED)
    pen.disc(0.72, WHITE)
    pen.text(str(limit), BLACK, width=1.04, height=0.74, bold=0.036)


def _priority_road(pen: Pen) -> None:
    pen.polygon(regular(4, 0.91), BLACK, rounding=0.05)
    pen.polygon(regular(4, 0.88), WHITE, rounding=0.05)
    pen.polygon(regular(4, 0.62), BLACK, rounding=0.04)
    pen.polygon(regular(4, 0.59), YELLOW, rounding=0.04)


def _blue_disc(pen: Pen) -> None:
    pen.disc(0.95, WHITE)
    pen.disc(0.90, BLUE)


def _arc(radius: float, start: float, end: float, *, centre: Point = (0.0, 0.0)) -> list[Point]:
    """Points on a circle from one angle to another, in radians clockwise from the right."""
    angles = [start + (end - start) * step / 24 for step in range(25)]
    return [(centre[0] + radius * cos(angle), centre[1] + radius * sin(angle)) for angle in angles]


def _turn_right(pen: Pen) -> None:
    _blue_disc(pen)
    bend = _arc(0.24, pi, 1.5 * pi, centre=(-0.06, 0.1))
    pen.stroke([(-0.3, 0.56), *bend, (0.3, -0.14)], WHITE, width=0.2)
    pen.bar((-0.3, 0.5), (-0.3, 0.67), WHITE, width=0.2)
    pen.arrow_head((0.66, -0.14), (0, -0.14), WHITE, size=0.44)


def _roundabout(pen: Pen) -> None:
    _blue_disc(pen)
    for turn in (0.5 * pi, 0.5 * pi + 2 * pi / 3, 0.5 * pi + 4 * pi / 3):
        # The head is a chord of the circle, as long as the arc it replaces.
        tail, *_, tip = _arc(0.53, turn + 1.1, turn + 1.82)
        pen.stroke(_arc(0.53, turn + 0.2, turn + 1.3), WHITE, width=0.18)
        pen.arrow_head(tip, tail, WHITE, size=0.4)


def _pedestrian_crossing(pen: Pen) -> None:
    pen.polygon(regular(4, 1.16, turn=pi / 4), WHITE, rounding=0.1)
    pen.polygon(regular(4, 1.10, turn=pi / 4), BLUE, rounding=0.1)
    pen.polygon([(0, -0.7), (-0.76, 0.66), (0.76, 0.66)], WHITE)
    for x in (-0.46, -0.15, 0.16, 0.47):
        pen.polygon([(x * 0.8 - 0.06, 0.44), (x * 0.8 + 0.06, 0.44), (x + 0.08, 0.6), (x - 0.08, 0.6)], BLACK)
    pen.disc(0.09, BLACK, centre=(0.03, -0.36))
    pen.stroke([(0.0, -0.17), (-0.04, 0.1)], BLACK, width=0.17)
    pen.stroke([(-0.04, 0.12), (0.12, 0.26), (0.17, 0.47)], BLACK, width=0.09)
    pen.stroke([(-0.05, 0.12), (-0.12, 0.3), (-0.26, 0.45)], BLACK, width=0.09)
    pen.stroke([(0.0, -0.18), (0.16, -0.03), (0.27, -0.01)], BLACK, width=0.07)
    pen.stroke([(-0.02, -0.18), (-0.18, -0.04), (-0.2, 0.1)], BLACK, width=0.07)


def _no_parking(pen: Pen) -> None:
    pen.disc(0.95, WHITE)
    pen.disc(0.92, RED)
    pen.disc(0.72, BLUE)
    pen.bar((-0.54, -0.54), (0.54, 0.54), RED, width=0.2)


SHAPES: dict[str, Callable[[Pen], None]] = {
    "stop": _stop,
    "yield": _yield,
    "no entry": _no_entry,
    "speed limit 30": partial(_speed_limit, limit=30),
    "speed limit 45": partial(_speed_limit, limit=45),
    "speed limit 60": partial(_speed_limit, limit=60),
    "speed limit 80": partial(_speed_limit, limit=80),
    "priority road": _priority_road,
    "turn right": _turn_right,
    "roundabout": _roundabout,
    "pedestrian crossing": _pedestrian_crossing,
    "no parking": _no_parking,
}


@cache
def _drawn(name: str) -> Pen:
    pen = Pen(FINE)
    SHAPES[name](pen)
    return pen


@cache
def atlas(side: int) -> tuple[Tensor, Tensor]:
    """All signs at one size: colours (K, 3, side, side) and masks (K, 1, side, side), both in [0, 1]; do not write."""
    pixels = torch.stack([_drawn(name).pixels(side) for name in SHAPES])
    return pixels[:, :3], pixels[:, 3:]
