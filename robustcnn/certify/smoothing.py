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

DRAWS, ALPHA = 10_000, 0.001
"""Of noise for one certificate, and the chance that it is wrong, unless told otherwise."""


class Smoothed(nn.Module):
    """Logarithm of the mean probability over `draws` of Gaussian noise: differentiable, unlike a count of votes.

    Every look draws anew, from torch's global generator, so that an attack that knows it takes the mean of several
    (`eot`). With a `seed` all looks at all images draw the same noise, which makes the answers repeatable.
    """

    def __init__(self, model: nn.Module, *, sigma: float, draws: int = 32, seed: int | None = None) -> None:
        super().__init__()
        check_noise(sigma=sigma, counts={"draws": draws})
        self.model, self.sigma, self.draws, self.seed = model, sigma, draws, seed

    def forward(self, images: Tensor) -> Tensor:
        noisy = images.unsqueeze(1) + self.sigma * self._noise(images)
        answers = self.model(noisy.flatten(0, 1)).log_softmax(1).unflatten(0, (len(images), self.draws))
        mean: Tensor = answers.logsumexp(1) - math.log(self.draws)
        return mean

    def _noise(self, images: Tensor) -> Tensor:
        count, *shape = images.shape
        if self.seed is None:
            return torch.randn(count, self.draws, *shape, dtype=images.dtype, device=images.device)
        return torch.randn(self.draws, *shape, generator=seeded(self.seed)).to(images)


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
    def reaches(self) -> tuple[float, ...]:
        """The radius in which each example is certain to stay right; -inf where it is not right."""
        rows = zip(self.labels, self.answers, self.radii, strict=True)
        return tuple(reach if answer == label else -math.inf for label, answer, reach in rows)

    @property
    def abstained(self) -> Share:
        return Share.of(sum(answer is None for answer in self.answers), len(self.answers))

    def accuracy(self, radius: float) -> Share:
        """Examples that are right, and certain to stay so whatever changes them by less than this."""
        return Share.of(sum(reach >= radius for reach in self.reaches), len(self.labels))

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
    draws: int = DRAWS,
    alpha: float = ALPHA,
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
