"""A pen that draws flat shapes in unit coordinates, many times finer than they will be shown."""

from __future__ import annotations

from collections.abc import Sequence
from math import atan2, cos, hypot, pi, sin

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

Point = tuple[float, float]
Colour = tuple[int, int, int]


def regular(corners: int, radius: float, *, turn: float = 0.0) -> list[Point]:
    """Corners of a regular polygon around the origin, the first at `turn` radians clockwise from the right."""
    angles = [turn + 2 * pi * corner / corners for corner in range(corners)]
    return [(radius * cos(angle), radius * sin(angle)) for angle in angles]


class Pen:
    """Draws into a square that spans -1..1 both ways, x to the right and y down."""

    def __init__(self, side: int) -> None:
        self._picture = Image.new("RGBA", (side, side), (0, 0, 0, 0))
        self._draw = ImageDraw.Draw(self._picture)
        self._half = side / 2

    def _at(self, point: Point) -> Point:
        return ((point[0] + 1) * self._half, (point[1] + 1) * self._half)

    def disc(self, radius: float, fill: Colour, *, centre: Point = (0.0, 0.0)) -> None:
        x, y = centre
        self._draw.ellipse((*self._at((x - radius, y - radius)), *self._at((x + radius, y + radius))), fill=fill)

    def polygon(self, corners: Sequence[Point], fill: Colour, *, rounding: float = 0.0) -> None:
        """A filled polygon, grown by `rounding` with round corners."""
        self._draw.polygon([self._at(corner) for corner in corners], fill=fill)
        if rounding:
            self.stroke([*corners, corners[0]], fill, width=2 * rounding)

    def stroke(self, points: Sequence[Point], fill: Colour, *, width: float) -> None:
        """A line through `points` with round joints and ends."""
        self._draw.line([self._at(point) for point in points], fill=fill, width=round(width * self._half))
        for point in points:
            self.disc(width / 2, fill, centre=point)

    def bar(self, start: Point, end: Point, fill: Colour, *, width: float) -> None:
        """A straight line with square ends."""
        (x, y), (right, down) = start, end
        length = hypot(right - x, down - y)
        across, along = (down - y) / length * width / 2, (right - x) / length * width / 2
        near = [(x - across, y + along), (x + across, y - along)]
        far = [(right + across, down - along), (right - across, down + along)]
        self.polygon([*near, *far], fill)

    def arrow_head(self, tip: Point, tail: Point, fill: Colour, *, size: float) -> None:
        """A triangle that points from `tail` to `tip`, `size` long and wide."""
        angle = atan2(tip[1] - tail[1], tip[0] - tail[0])
        x, y = tip[0] - size * cos(angle), tip[1] - size * sin(angle)
        side = (-sin(angle) * size * 0.62, cos(angle) * size * 0.62)
        self.polygon([tip, (x + side[0], y + side[1]), (x - side[0], y - side[1])], fill)

    def text(self, words: str, fill: Colour, *, width: float, height: float, bold: float = 0.05) -> None:
        """Centred words stretched to fill `width` by `height`; `bold` is the thickening as a part of their height."""
        points = round(1.5 * height * self._half)
        # Pillow brings this font along: no font of the system is needed.
        font = ImageFont.load_default(points)
        stroke = round(bold * points)
        left, top, right, bottom = (round(edge) for edge in font.getbbox(words, stroke_width=stroke))
        stencil = Image.new("L", (right - left, bottom - top))
        ImageDraw.Draw(stencil).text((-left, -top), words, fill=255, font=font, stroke_width=stroke)
        stencil = stencil.resize((round(width * self._half), round(height * self._half)), Image.Resampling.LANCZOS)
        corner = self._at((-width / 2, -height / 2))
        self._draw.bitmap((round(corner[0]), round(corner[1])), stencil, fill=fill)

    def pixels(self, side: int) -> Tensor:
        """Colours and coverage (4, side, side) in [0, 1]; Pillow averages colours by their coverage."""
        shrunk = self._picture.resize((side, side), Image.Resampling.BOX)
        return torch.from_numpy(np.array(shrunk, dtype=np.float32) / 255).permute(2, 0, 1).contiguous()
