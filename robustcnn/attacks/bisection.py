"""Any attack as a minimal one: the smallest eps at which it succeeds, found by bisection for each example."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from robustcnn.attacks.base import Attack, Guarded
from robustcnn.attacks.closest import Closest
from robustcnn.core.threat import ThreatModel


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class Smallest(Guarded):
    """The nearest adversarial example that `attack` finds when its eps is bisected, within the threat's eps."""

    attack: Attack
    """Run once at the threat's eps, then `steps` times more for the examples that fell."""
    steps: int = 7
    """Bisections: the found eps is exact to eps / 2^steps."""

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps must be at least 1, got {self.steps}")

    ends_at_boundary: ClassVar[bool] = True

    def search(
        self, model: nn.Module, images: Tensor, labels: Tensor, threat: ThreatModel, generator: torch.Generator
    ) -> Tensor:
        closest = Closest(model, images, labels, threat)
        closest.offer(images, model(images))
        largest = min(threat.eps, _diameter(images, threat))
        fell, _ = self._split(closest, closest.standing(), largest, generator)
        # Examples that agree on every answer so far share their interval, and one call of the attack.
        groups = [(0.0, largest, fell)]
        for _ in range(self.steps):
            halves = []
            for low, high, rows in groups:
                middle = (low + high) / 2
                fell, stood = self._split(closest, rows, middle, generator)
                halves += [(low, middle, fell), (middle, high, stood)]
            groups = [group for group in halves if len(group[2])]
        return closest.best

    def _split(self, closest: Closest, rows: Tensor, eps: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Which of the rows fall at this eps, and which stand."""
        part = closest.subset(rows)
        threat = replace(closest.threat, eps=eps)
        adversarial = self.attack(part.model, part.images, part.labels, threat, generator=generator)
        part.offer(adversarial, part.model(adversarial))
        closest.absorb(part, rows)
        fell = part.distance.isfinite()
        return rows[fell], rows[~fell]


def _diameter(images: Tensor, threat: ThreatModel) -> float:
    """The largest distance between two images: an eps that forbids nothing."""
    low, high = (torch.full_like(images[:1], bound) for bound in threat.bounds)
    return float(threat.distance(low, high))
