"""Faces with points: which ones, mirrored, how far off in pixels, and drawn into the picture."""

from __future__ import annotations

import math
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from robustcnn.core.runtime import seeded
from robustcnn.data.sets.drawn_faces import MIRRORED, POINTS, draw_faces
from robustcnn.data.sets.keypoints import SIDE, Keypoints, read_keypoints, scaled

ORDER = torch.tensor(MIRRORED)


def mirrored(images: Tensor, points: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Every second face mirrored; then left is right, and what was across is minus that."""
    chosen = torch.rand(len(images), generator=generator) < 0.5
    flipped = points.view(-1, len(POINTS), 2)[:, ORDER] * torch.tensor([-1.0, 1.0])
    there = torch.where(chosen[:, None], flipped.flatten(1), points)
    return torch.where(chosen[:, None, None, None], images.flip(3), images), there


def faces(csv: Path | None, count: int, seed: int) -> list[Keypoints]:
    """Training, validation and test part."""
    if csv is None:
        drawn = draw_faces(count, size=SIDE, seed=seed)
        known = Keypoints(drawn.images.float() / 255, scaled(drawn.points))
    else:
        known = read_keypoints(csv)
    order = torch.randperm(len(known.images), generator=seeded(seed))
    tenth = max(1, len(order) // 10)
    parts = order[2 * tenth :], order[:tenth], order[tenth : 2 * tenth]
    return [Keypoints(known.images[part], known.points[part]) for part in parts]


def pixels(said: Tensor, true: Tensor) -> float:
    """Root mean squared error in pixels."""
    return SIDE / 2 * math.sqrt(F.mse_loss(said, true).item())


def marked(images: Tensor, points: Tensor) -> Tensor:
    """White dots where the points are said to be."""
    shown = images.clone()
    places = ((points.view(-1, len(POINTS), 2) + 1) * SIDE / 2).round().long().clamp(1, SIDE - 2)
    for image, face in zip(shown, places.tolist(), strict=True):
        for across, down in face:
            image[:, down - 1 : down + 2, across - 1 : across + 2] = 1.0
    return shown
