"""Randomised smoothing: the answer that a model gives most often near an image, and how far it provably holds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from robustcnn.core.results import Share
from robustcnn.core.runtime import evaluating, seeded
from robustcnn.data.resident import ResidentDataset, as_pixels


@dataclass(frozen=True, kw_only=True, slots=True)
class Certificates:
    """What the smoothed model answers to each image, and the l2 radius in which it provably goes on to do so.

    Each holds with probability 1 - alpha, for the smoothed model itself: no sample of it is needed to be right.
    """

    sigma: float
    draws: int
    alpha: float
    labels: tuple[int, ...]
    answers: tuple[int | None, ...]
    """None where the model abstains: no class is surely in the majority."""
    radii: tuple[float, ...]
    """In pixel units; 0 where it abstains."""

    @property
    def abstained(self) -> Share:
        return Share.of(sum(answer is None for answer in self.answers), len(self.answers))

    def accuracy(self, radius: float) -> Share:
        """Examples that are right, and certain to stay so whatever changes them by less than this."""
        rows = zip(self.labels, self.answers, self.radii, strict=True)
        return Share.of(sum(answer == label and reach >= radius for label, answer, reach in rows), len(self.labels))

    def curve(self, radii: Sequence[float]) -> tuple[tuple[float, Share], ...]:
        """(radius, certified accuracy) for each of the radii."""
        return tuple((radius, self.accuracy(radius)) for radius in radii)


@torch.no_grad()
def smoothed(
    model: nn.Module,
    data: ResidentDataset,
    *,
    sigma: float,
    draws0: int = 100,
    draws: int = 10_000,
    alpha: float = 0.001,
    batch_size: int = 1000,
    generator: torch.Generator | None = None,
) -> Certificates:
    """Of `model`, which is asked under noise of `sigma`, after Cohen et al. (2019).

    `draws0` looks choose a class, `draws` others count how often it is the answer.
    """
    check_noise(sigma=sigma, counts={"draws0": draws0, "draws": draws, "batch_size": batch_size})
    if not 0 < alpha < 0.5:
        raise ValueError(f"alpha is the chance of a wrong certificate and must lie in (0, 0.5), got {alpha:g}")
    generator = seeded(0, data.device) if generator is None else generator
    answers: list[int | None] = []
    radii = []
    with evaluating(model):
        for image in data.images:
            chosen = int(_answers(model, image, sigma, draws0, batch_size, generator).bincount().argmax())
            hits = int((_answers(model, image, sigma, draws, batch_size, generator) == chosen).sum())
            radius = _radius(least_share(hits, draws, alpha), sigma)
            answers.append(chosen if radius else None)
            radii.append(radius)
    labels = tuple(data.labels.tolist())
    return Certificates(
        sigma=sigma, draws=draws, alpha=alpha, labels=labels, answers=tuple(answers), radii=tuple(radii)
    )


def least_share(hits: int, count: int, alpha: float) -> float:
    """The share that a true one falls short of with probability alpha at most (Clopper & Pearson 1934, one-sided)."""
    from scipy.special import betaincinv

    return float(betaincinv(hits, count - hits + 1, alpha)) if hits else 0.0


def _radius(share: float, sigma: float) -> float:
    from scipy.special import ndtri

    return sigma * float(ndtri(share)) if share > 0.5 else 0.0


def _answers(
    model: nn.Module, image: Tensor, sigma: float, draws: int, batch_size: int, generator: torch.Generator
) -> Tensor:
    """The class of the image under each of so many draws of noise."""
    pixels = as_pixels(image)
    parts = []
    for start in range(0, draws, batch_size):
        size = (min(batch_size, draws - start), *pixels.shape)
        noise = torch.randn(size, generator=generator, device=generator.device).to(pixels)
        parts.append(model(pixels + sigma * noise).argmax(1))
    return torch.cat(parts)


def check_noise(*, sigma: float, counts: dict[str, int]) -> None:
    if not 0 < sigma < math.inf:
        raise ValueError(f"sigma is the noise's standard deviation in pixel units and must be positive, got {sigma:g}")
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"{name} must be at least 1, got {count}")
