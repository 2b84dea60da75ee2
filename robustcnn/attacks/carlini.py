"""Carlini & Wagner (2017): distance plus a weighted margin, minimised without a box by going through tanh."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from robustcnn.attacks.base import Guarded, check_euclidean, input_gradient
from robustcnn.attacks.closest import Closest
from robustcnn.core.losses import margin
from robustcnn.core.norms.batched import per_example
from robustcnn.core.threat import ThreatModel
from robustcnn.core.waiting import wait_for

HAIR = 1e-4
"""How far inside the box the search starts: at the walls tanh has no slope and no inverse."""


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class CarliniWagner(Guarded):
    """The smallest l2 perturbation found, cut to the ball when it is larger than eps (inf leaves it whole)."""

    searches: int = 9
    """Steps of the binary search for the weight of the margin."""
    steps: int = 1000
    """Adam steps for each weight."""
    step_size: float = 0.01
    """Of Adam, in tanh space."""
    first_weight: float = 1e-3
    """Weight of the margin to begin with; tenfold after each failure until the first success."""

    def __post_init__(self) -> None:
        if self.searches < 1 or self.steps < 1:
            raise ValueError(f"searches and steps must be at least 1, got {self.searches} and {self.steps}")
        if not (self.step_size > 0 and self.first_weight > 0):
            raise ValueError(
                f"step_size and first_weight must be positive, got {self.step_size:g} and {self.first_weight:g}"
            )

    ends_at_boundary: ClassVar[bool] = True

    @property
    def takes_eps_each(self) -> bool:
        return True

    def search(
        self,
        model: nn.Module,
        images: Tensor,
        labels: Tensor,
        threat: ThreatModel,
        generator: torch.Generator,  # noqa: ARG002
    ) -> Tensor:
        check_euclidean("CarliniWagner", threat)
        closest = Closest(model, images, labels, threat)
        closest.offer(images, model(images))
        weight = torch.full_like(closest.distance, self.first_weight)
        low, high = torch.zeros_like(weight), torch.full_like(weight, torch.inf)
        for _ in range(self.searches):
            fooled = self._minimise(closest, weight)
            low, high = torch.where(fooled, low, weight), torch.where(fooled, weight, high)
            weight = torch.where(high.isfinite(), (low + high) / 2, weight * 10)
        return closest.best

    def _minimise(self, closest: Closest, weight: Tensor) -> Tensor:
        """Adam on distance^2 + weight * max(-margin, 0) from the images; returns who was fooled on the way."""
        images, labels = closest.images, closest.labels
        low, high = closest.threat.bounds
        middle, half = (high + low) / 2, (high - low) / 2
        free = torch.atanh(((images - middle) / half).clamp(-1 + HAIR, 1 - HAIR))
        mean, square = torch.zeros_like(free), torch.zeros_like(free)
        ever, least = torch.zeros_like(labels, dtype=torch.bool), torch.inf
        for step in range(self.steps):
            squashed = free.tanh()
            point = middle + half * squashed
            look = input_gradient(closest.model, point, lambda logits, part: -margin(logits, labels[part]).clamp_max(0))
            ever |= closest.offer(point, look.logits)
            change = point - images
            gradient = (2 * change + per_example(weight, change) * look.gradient) * half * (1 - squashed.square())
            # Adam (Kingma & Ba 2015), by hand: torch's own counts its steps in a tensor.
            mean, square = mean.lerp(gradient, 0.1), square.lerp(gradient.square(), 0.001)
            length = (square / (1 - 0.999 ** (step + 1))).sqrt_().add_(1e-8)
            free = free - self.step_size / (1 - 0.9 ** (step + 1)) * mean / length
            if step % max(self.steps // 10, 1) == 0:
                total = wait_for(change.square().sum() + (weight * look.loss).sum())
                if total > 0.9999 * least:
                    break
                least = total
        return ever
