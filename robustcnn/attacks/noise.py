"""Attacks that do not think: the control group, which every real attack has to beat."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from robustcnn.attacks.base import Guarded
from robustcnn.attacks.search_state import SearchState
from robustcnn.core.losses import margin
from robustcnn.core.norms.batched import per_example
from robustcnn.core.threat import ThreatModel


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class _Noise(Guarded):
    draws: int = 1
    """Draws an image; the one with the worst margin is kept."""

    def __post_init__(self) -> None:
        if self.draws < 1:
            raise ValueError(f"draws must be at least 1, got {self.draws}")

    @property
    def takes_eps_each(self) -> bool:
        return True

    @abstractmethod
    def draw(self, images: Tensor, threat: ThreatModel, generator: torch.Generator) -> Tensor:
        """One noisy version of each image."""

    def search(
        self, model: nn.Module, images: Tensor, labels: Tensor, threat: ThreatModel, generator: torch.Generator
    ) -> Tensor:
        threat.refuse_infinite("noise")
        state = SearchState(model, images, labels)
        for draw in range(self.draws):
            ball = threat.of(state.rows)
            noisy = ball.project(self.draw(state.images, ball, generator), state.images)
            logits = model(noisy)
            state.update(noisy, margin(logits, state.labels), logits)
            state.compact(draw)
            if not len(state):
                break
        return state.best_found


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class UniformNoise(_Noise):
    """A uniform point of the ball."""

    def draw(self, images: Tensor, threat: ThreatModel, generator: torch.Generator) -> Tensor:
        return threat.sample(images, generator)


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class GaussianNoise(_Noise):
    """A Gaussian direction, stretched to the surface of the ball."""

    def draw(self, images: Tensor, threat: ThreatModel, generator: torch.Generator) -> Tensor:
        noise = _gaussian(images, generator)
        length = threat.distance(noise, torch.zeros_like(noise))
        return images + threat.radius(images) * noise / per_example(length, noise)


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class CornerNoise(_Noise):
    """A random extreme point of the ball: signs of eps in linf, any direction in l2, one single pixel in l1."""

    def draw(self, images: Tensor, threat: ThreatModel, generator: torch.Generator) -> Tensor:
        # The best answer to a random slope is a corner that nobody chose.
        return images + threat.radius(images) * threat.steepest(_gaussian(images, generator))


def _gaussian(images: Tensor, generator: torch.Generator) -> Tensor:
    drawn = torch.randn(images.shape, generator=generator, device=generator.device, dtype=images.dtype)
    return drawn.to(images.device)
