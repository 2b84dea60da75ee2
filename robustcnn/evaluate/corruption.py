"""Accuracy under what happens to pictures without an adversary (after Hendrycks & Dietterich 2019).

Severities are chosen for pictures of 28 to 64 pixels, where blur and blocks have to stay small.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from robustcnn.channel import disk, filtered, jpeg, streak
from robustcnn.core.losses import is_right
from robustcnn.core.plain_data import did_you_mean
from robustcnn.core.results import CorruptionScore, Share
from robustcnn.core.runtime import derived_seed, seeded
from robustcnn.data.resident import ResidentDataset, as_pixels
from robustcnn.evaluate.predict import predict

Corruption = Callable[[Tensor, int, torch.Generator], Tensor]
"""Float pixels in [0, 1], severity 1 to 5."""
SEVERITIES = range(1, 6)


def corrupt(images: Tensor, name: str, severity: int, *, generator: torch.Generator) -> Tensor:
    """The pictures (N, C, H, W) with a corruption of that name."""
    if name not in CORRUPTIONS:
        raise ValueError(f"unknown corruption {name!r}{did_you_mean(name, CORRUPTIONS)}")
    if severity not in SEVERITIES:
        raise ValueError(f"severity must lie in 1..5, got {severity}")
    return CORRUPTIONS[name](images, severity - 1, generator).clamp(0, 1)


def corruption_scores(
    model: nn.Module, data: ResidentDataset, *, names: Sequence[str] = (), seed: int = 0, batch_size: int = 512
) -> tuple[CorruptionScore, ...]:
    """Accuracy under each corruption (all of them when none are named) at each severity."""
    return tuple(
        CorruptionScore(
            corruption=name,
            accuracy=tuple(_accuracy(model, data, name, severity, seed, batch_size) for severity in SEVERITIES),
        )
        for name in names or CORRUPTIONS
    )


def mean_accuracy(scores: Sequence[CorruptionScore]) -> float | None:
    """Over all corruptions and severities; None when there is none."""
    values = [share.value for score in scores for share in score.accuracy if share.value is not None]
    return sum(values) / len(values) if values else None


def _accuracy(model: nn.Module, data: ResidentDataset, name: str, severity: int, seed: int, batch_size: int) -> Share:
    # One seed a corruption: severities differ in strength, not in luck.
    generator = seeded(derived_seed(seed, name))
    batches = (corrupt(as_pixels(part), name, severity, generator=generator) for part in data.images.split(batch_size))
    logits = predict(model, replace(data, images=torch.cat(list(batches))), batch_size=batch_size)
    right = is_right(logits.cpu(), data.labels.cpu())
    return Share.of(int(right.sum()), len(right))


def _normal(images: Tensor, generator: torch.Generator) -> Tensor:
    # Drawn where the generator lives: one seed gives one answer on every device.
    return torch.randn(images.shape, generator=generator).to(images)


def _uniform(shape: Sequence[int], images: Tensor, generator: torch.Generator) -> Tensor:
    return torch.rand(tuple(shape), generator=generator).to(images)


def _gaussian(images: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    return images + (0.04, 0.06, 0.08, 0.1, 0.13)[severity] * _normal(images, generator)


def _shot(images: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    photons = (500, 250, 100, 60, 35)[severity]
    return torch.poisson((images * photons).cpu(), generator=generator).to(images) / photons


def _impulse(images: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    share = (0.01, 0.02, 0.04, 0.06, 0.1)[severity]
    draw = _uniform(images.shape, images, generator)
    return torch.where(draw < share / 2, 0, torch.where(draw > 1 - share / 2, 1, images))


def _defocus(images: Tensor, severity: int, _: torch.Generator) -> Tensor:
    return filtered(images, disk((0.6, 0.8, 1.1, 1.5, 2.0)[severity]))


def _motion(images: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    angles = math.pi * _uniform([len(images)], images, generator)
    return filtered(images, streak((1.5, 2.5, 3.5, 5.0, 7.0)[severity], angles))


def _brightness(images: Tensor, severity: int, _: torch.Generator) -> Tensor:
    return images + (0.05, 0.1, 0.15, 0.2, 0.3)[severity]


def _contrast(images: Tensor, severity: int, _: torch.Generator) -> Tensor:
    mean = images.mean((1, 2, 3), keepdim=True)
    return mean + (0.75, 0.5, 0.4, 0.3, 0.15)[severity] * (images - mean)


def _haze(images: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """Light grey that is thicker here than there."""
    thickness = (0.2, 0.3, 0.4, 0.5, 0.6)[severity]
    clouds = F.interpolate(_uniform([len(images), 1, 4, 4], images, generator), images.shape[2:], mode="bicubic")
    veil = (thickness * (0.7 + 0.6 * clouds)).clamp(0, 1)
    return images + veil * (0.85 - images)


def _jpeg(images: Tensor, severity: int, _: torch.Generator) -> Tensor:
    return jpeg(images, (80, 60, 40, 25, 15)[severity])


def _pixelate(images: Tensor, severity: int, _: torch.Generator) -> Tensor:
    """Means over blocks, a pixel each, seen at the old size."""
    share = (0.5, 0.45, 0.4, 0.33, 0.25)[severity]
    height, width = (max(1, round(share * side)) for side in images.shape[2:])
    return F.interpolate(F.adaptive_avg_pool2d(images, (height, width)), images.shape[2:], mode="nearest")


CORRUPTIONS: dict[str, Corruption] = {
    "gaussian noise": _gaussian,
    "shot noise": _shot,
    "impulse noise": _impulse,
    "defocus blur": _defocus,
    "motion blur": _motion,
    "brightness": _brightness,
    "contrast": _contrast,
    "haze": _haze,
    "jpeg": _jpeg,
    "pixelate": _pixelate,
}
