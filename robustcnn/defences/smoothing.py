"""Randomised smoothing as a model: the answer that another gives most often near an image."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from robustcnn.certify.smoothing import Certificates, check_noise, smoothed
from robustcnn.core.runtime import seeded
from robustcnn.data.resident import ResidentDataset


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


def certify(model: nn.Module, data: ResidentDataset, *, sigma: float, **options: Any) -> Certificates:
    """`certify.smoothed` of a model (not a `Smoothed`, which it makes of it)."""
    if isinstance(model, Smoothed):
        raise ValueError("model must be the one inside the Smoothed (certify draws its own noise): give smoothed.model")
    return smoothed(model, data, sigma=sigma, **options)
