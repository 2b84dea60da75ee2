"""Street scenes without a sign: sky, hills, trees, houses, roads and walls, a whole batch at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

SKIES = ((0.35, 0.58, 0.88), (0.55, 0.72, 0.92), (0.74, 0.77, 0.80), (0.58, 0.60, 0.64), (0.90, 0.66, 0.48))
LEAVES = ((0.16, 0.32, 0.12), (0.28, 0.42, 0.16), (0.42, 0.46, 0.20), (0.50, 0.36, 0.16), (0.12, 0.22, 0.14))
FACADES = ((0.62, 0.56, 0.48), (0.56, 0.34, 0.26), (0.74, 0.72, 0.68), (0.42, 0.44, 0.48), (0.70, 0.60, 0.40))
VERGES = ((0.30, 0.40, 0.18), (0.48, 0.46, 0.42), (0.52, 0.46, 0.30), (0.38, 0.44, 0.24))


@dataclass(frozen=True, kw_only=True, slots=True)
class Draw:
    """One batch of random numbers: how many pictures, how wide, and where the numbers come from."""

    count: int
    size: int
    generator: torch.Generator

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """(N, *shape) between `low` and `high`; (N, 1, 1, 1) when no shape is given."""
        numbers = torch.rand(self.count, *(shape or (1, 1, 1)), generator=self.generator, device=self.generator.device)
        return low + (high - low) * numbers

    def colour(self, palette: Sequence[tuple[float, float, float]]) -> Tensor:
        """(N, 3, 1, 1): one of the palette each, lighter or darker."""
        device = self.generator.device
        chosen = torch.randint(len(palette), (self.count,), generator=self.generator, device=device)
        base = torch.tensor(palette, device=device)[chosen]
        return (base * self.uniform(0.75, 1.2, 1) + self.uniform(-0.05, 0.05, 3)).clamp(0, 1)[:, :, None, None]

    def clouds(self, coarsest: int, *, channels: int = 1) -> Tensor:
        """(N, channels, S, S) fractal noise of mean 0 and about -1..1, whose largest blobs span 1/`coarsest` of it."""
        field, weight, cells = self.uniform(-1, 1, channels, coarsest, coarsest), 1.0, 2 * coarsest
        # Each octave is laid upon the coarser ones at its own resolution: a third of the work of full-size octaves.
        while cells <= self.size // 2:
            weight *= 0.6
            coarser = F.interpolate(field, size=cells, mode="bilinear")
            field, cells = coarser + self.uniform(-weight, weight, channels, cells, cells), 2 * cells
        return F.interpolate(field, size=self.size, mode="bilinear")

    def plane(self) -> tuple[Tensor, Tensor]:
        """Pixel centres: x as (1, 1, 1, S) and y as (1, 1, S, 1), both in -1..1 and y down."""
        centres = (torch.arange(self.size, device=self.generator.device) * 2 + 1) / self.size - 1
        return centres.view(1, 1, 1, -1), centres.view(1, 1, -1, 1)

    def inside(self, distance: Tensor) -> Tensor:
        """1 where `distance` is positive and 0 where it is negative, with an edge one pixel wide."""
        return (distance * (self.size / 2) + 0.5).clamp(0, 1)


def _sky(draw: Draw) -> Tensor:
    _, y = draw.plane()
    top, glow = draw.colour(SKIES), draw.uniform(0.0, 0.5)
    clear = top + (0.95 - top) * glow * (y + 1) / 2
    return clear + (0.92 - clear) * (draw.clouds(2) * 0.8 - draw.uniform(-0.2, 0.5)).clamp(0, 0.8)


def _trees(draw: Draw) -> Tensor:
    leaves = draw.colour(LEAVES) * (1 + 0.45 * draw.clouds(4))
    return leaves + draw.colour(LEAVES) * 0.3 * draw.clouds(8).clamp_min(0)


def _houses(draw: Draw) -> Tensor:
    x, y = draw.plane()
    blocks = F.interpolate(draw.uniform(0.7, 1.25, 1, 1, 4), size=(1, draw.size), mode="nearest")
    facade = draw.colour(FACADES) * blocks
    columns = torch.sin(x * draw.uniform(9, 18) + draw.uniform(0, 6))
    storeys = torch.sin(y * draw.uniform(9, 18) + draw.uniform(0, 6))
    windows = draw.inside(torch.minimum(columns - 0.1, storeys + 0.1) * 0.15)
    return facade + (draw.colour(SKIES) * draw.uniform(0.2, 0.9) - facade) * windows


def _road(draw: Draw, horizon: Tensor) -> Tensor:
    x, y = draw.plane()
    depth = (y - horizon).clamp_min(0.02)
    verge = draw.colour(VERGES) * (1 + 0.25 * draw.clouds(8))
    asphalt = draw.uniform(0.25, 0.6) * (1 + 0.12 * draw.clouds(8))
    offset = (x - draw.uniform(-0.8, 0.8)) / depth
    road = draw.inside((draw.uniform(1.0, 3.0) - offset.abs()) * depth)
    dashes = (torch.sin(draw.uniform(1.5, 4.0) / depth) > 0).to(depth)
    line = draw.inside((0.1 - offset.abs()) * depth) * dashes
    ground = verge + (asphalt - verge) * road
    return ground + (0.88 - ground) * line


def _wall(draw: Draw) -> Tensor:
    """Something close behind the sign: plaster, a hedge, a lorry."""
    colour = torch.where(
        draw.uniform(0, 1) < 0.5, draw.colour(FACADES), draw.uniform(0.15, 0.85) + draw.uniform(-0.12, 0.12, 3, 1, 1)
    )
    return colour * (1 + draw.uniform(0.1, 0.5) * draw.clouds(4)) + 0.06 * draw.clouds(2, channels=3)


def backgrounds(count: int, *, size: int, generator: torch.Generator) -> Tensor:
    """(N, 3, size, size) in [0, 1] on the generator's device."""
    draw = Draw(count=count, size=size, generator=generator)
    _, y = draw.plane()
    horizon = draw.uniform(0.1, 0.8)
    built = draw.uniform(0, 1) < 0.45
    roofs = F.interpolate(draw.uniform(0.2, 1.3, 1, 1, 5), size=(1, size), mode="nearest")
    crowns = F.interpolate(draw.uniform(0.1, 1.1, 1, 1, 6), size=(1, size), mode="bilinear") + 0.08 * draw.clouds(8)
    skyline = horizon - torch.where(built, roofs, crowns)
    scene = _sky(draw)
    scene = scene.lerp(torch.where(built, _houses(draw), _trees(draw)), draw.inside(y - skyline).expand_as(scene))
    scene = scene.lerp(_road(draw, horizon), draw.inside(y - horizon).expand_as(scene))
    return torch.where(draw.uniform(0, 1) < 0.2, _wall(draw), scene).clamp(0, 1)
