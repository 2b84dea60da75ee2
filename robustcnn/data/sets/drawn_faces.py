"""Drawn faces: any number, in seven moods, with the places of fifteen points, as Kaggle's two face sets have them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from robustcnn.core.runtime import derived_seed, seeded
from robustcnn.data.resident import ResidentDataset
from robustcnn.data.sets.raw import resident

MOODS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
POINTS = (
    "left_eye_center",
    "right_eye_center",
    "left_eye_inner_corner",
    "left_eye_outer_corner",
    "right_eye_inner_corner",
    "right_eye_outer_corner",
    "left_eyebrow_inner_end",
    "left_eyebrow_outer_end",
    "right_eyebrow_inner_end",
    "right_eyebrow_outer_end",
    "nose_tip",
    "mouth_left_corner",
    "mouth_right_corner",
    "mouth_center_top_lip",
    "mouth_center_bottom_lip",
)
"""Left is the person's own left: the right-hand side of the picture."""
MIRRORED = tuple(
    POINTS.index(
        name.replace("left", "?").replace("right", "left").replace("?", "right")
        if "left" in name or "right" in name
        else name
    )
    for name in POINTS
)
"""Which point stands where each one stood once a picture is mirrored."""
#        brow height, brow inner end up, eye opening, mouth corners up, mouth opening
_LOOKS = {
    "angry": (-0.05, -0.13, 0.06, -0.06, 0.03),
    "disgust": (-0.04, -0.06, 0.03, -0.10, 0.06),
    "fear": (0.05, 0.10, 0.12, -0.03, 0.10),
    "happy": (0.02, 0.00, 0.07, 0.13, 0.08),
    "sad": (0.00, 0.13, 0.05, -0.11, 0.02),
    "surprise": (0.11, 0.02, 0.13, 0.00, 0.20),
    "neutral": (0.00, 0.00, 0.08, 0.00, 0.02),
}


class DrawnFaces(NamedTuple):
    images: Tensor
    """(N, 1, size, size) grey levels, uint8."""
    points: Tensor
    """(N, 15, 2): across and down in pixels, in the order of POINTS."""
    moods: Tensor
    """(N,), indices into MOODS."""


def draw_faces(count: int, *, size: int = 96, seed: int = 0) -> DrawnFaces:
    """So many faces, no two alike in place, size, tilt, features and light; the same seed draws the same ones."""
    if count < 1 or size < 24:
        raise ValueError(f"count must be at least 1 and size at least 24 pixels, got {count} and {size}")
    draws = seeded(seed)
    moods = torch.randint(len(MOODS), (count,), generator=draws)
    parts = [_drawn(part, size, draws) for part in moods.split(256)]
    images, points = (torch.cat(each) for each in zip(*parts, strict=True))
    return DrawnFaces(images, points, moods)


@dataclass(frozen=True, slots=True)
class _Frame:
    """From face units (the face is about 2 high, its centre 0) to pixels."""

    centre: Tensor
    scale: Tensor
    tilt: Tensor

    def pixels(self, points: Tensor) -> Tensor:
        across, down = points.unbind(-1)
        cos, sin = self.tilt.cos()[:, None], self.tilt.sin()[:, None]
        turned = torch.stack([cos * across - sin * down, sin * across + cos * down], -1)
        return self.centre[:, None] + self.scale[:, None, None] * turned

    def units(self, size: int) -> Tensor:
        """Face units of every pixel, (N, size, size, 2)."""
        grid = torch.arange(size, dtype=torch.float32) + 0.5
        down, across = torch.meshgrid(grid, grid, indexing="ij")
        away = torch.stack([across, down], -1) - self.centre[:, None, None]
        cos, sin = (each[:, None, None] for each in (self.tilt.cos(), self.tilt.sin()))
        across, down = (away / self.scale[:, None, None, None]).unbind(-1)
        return torch.stack([cos * across + sin * down, cos * down - sin * across], -1)


def _drawn(moods: Tensor, size: int, draws: torch.Generator) -> tuple[Tensor, Tensor]:
    def spread(width: float, *shape: int) -> Tensor:
        return width * (2 * torch.rand(len(moods), *shape, generator=draws) - 1)

    frame = _Frame(centre=size * (0.5 + spread(0.07, 2)), scale=size * (0.36 + spread(0.05)), tilt=0.15 * spread(1.0))
    brow, inner, opening, smile, mouth = (torch.tensor(list(_LOOKS.values()))[moods] + spread(0.02, 5)).unbind(1)
    points = _features(brow, inner, smile, mouth.clamp_min(0.015), spread(0.03, 6))
    place = frame.units(size)
    skin, ground = 0.68 + spread(0.12), 0.25 + spread(0.2)
    inside = _soft(1 - (place / torch.tensor([0.78, 1.05])).norm(dim=-1), frame, 0.5)
    picture = ground[:, None, None] + (skin - ground)[:, None, None] * inside
    for stroke, width in _strokes(points, opening.clamp_min(0.02)):
        ink = _soft(width[:, None, None] - _distance(place, stroke), frame, 1.0)
        picture = picture * (1 - 0.75 * ink)
    noise = torch.randn(picture.shape, generator=draws)
    light = 1 + spread(0.25)[:, None, None] * (place[..., 0] / 2)
    levels = (255 * (picture * light + 0.03 * noise)).round().clamp(0, 255).to(torch.uint8)
    return levels[:, None], frame.pixels(points)


def _features(brow: Tensor, inner: Tensor, smile: Tensor, mouth: Tensor, own: Tensor) -> Tensor:
    """The fifteen points in face units."""
    zero = torch.zeros_like(brow)
    apart, high, brow_high, tip, low, wide = (own + torch.tensor([0.34, -0.22, -0.46, 0.15, 0.52, 0.26])).unbind(1)
    brow_high = brow_high - brow

    def at(across: Tensor, down: Tensor) -> Tensor:
        return torch.stack([across, down], -1)

    # The person's left is at positive places.
    sides = (1.0, -1.0)
    eyes = [at(side * apart, high) for side in sides]
    corners = [at(side * (apart + shift), high) for side in sides for shift in (-0.12, 0.12)]
    brows = [
        at(side * (apart + shift), brow_high - (inner if shift < 0 else zero))
        for side in sides
        for shift in (-0.16, 0.16)
    ]
    nose = [at(zero, tip)]
    ends = [at(side * wide, low - smile) for side in sides]
    lips = [at(zero, low - mouth), at(zero, low + mouth)]
    return torch.stack(eyes + corners + brows + nose + ends + lips, 1)


def _strokes(points: Tensor, opening: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Lines (N, 2 ends, 2), each with its half width (N,)."""
    thin = torch.full_like(opening, 0.028)

    def line(*names: str) -> Tensor:
        return points[:, [POINTS.index(name) for name in names]]

    found = []
    for side in ("left", "right"):
        found.append((line(f"{side}_eye_inner_corner", f"{side}_eye_outer_corner"), opening * 0.6))
        found.append((line(f"{side}_eyebrow_inner_end", f"{side}_eyebrow_outer_end"), 1.4 * thin))
        found += [(line(f"mouth_{side}_corner", f"mouth_center_{lip}_lip"), thin) for lip in ("top", "bottom")]
    bridge = line("nose_tip", "nose_tip") + torch.tensor([[0.0, -0.22], [0.0, 0.0]])
    return [*found, (bridge, thin)]


def _distance(place: Tensor, stroke: Tensor) -> Tensor:
    """From each pixel to the line between two ends."""
    start, end = stroke[:, None, None, 0], stroke[:, None, None, 1]
    along = end - start
    share = ((place - start) * along).sum(-1) / along.square().sum(-1).clamp_min(1e-9)
    away: Tensor = (place - start - share.clamp(0, 1)[..., None] * along).norm(dim=-1)
    return away


def _soft(depth: Tensor, frame: _Frame, pixels: float) -> Tensor:
    """1 inside, 0 outside, over about so many pixels at the edge."""
    return torch.sigmoid(depth * frame.scale[:, None, None] * 4 / (pixels + 1))


def read_faces(*, size: int, train: int, test: int, seed: int) -> tuple[ResidentDataset, ResidentDataset]:
    """(training, test) with the mood as the class; the test faces are the same whatever the seed."""
    drawn = draw_faces(train, size=size, seed=derived_seed("faces", seed)), draw_faces(test, size=size, seed=1)
    parts = (resident(each.images[:, 0].numpy(), each.moods.numpy(), MOODS) for each in drawn)
    return next(parts), next(parts)
