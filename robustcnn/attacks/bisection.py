"""Any attack as a minimal one: the smallest eps at which it succeeds, found by bisection for each example."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from robustcnn.attacks.base import Attack, Guarded, attack_each
from robustcnn.attacks.closest import Closest
from robustcnn.core.threat import ThreatModel
from robustcnn.core.waiting import split


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

    @property
    def takes_eps_each(self) -> bool:
        return True

    def search(
        self, model: nn.Module, images: Tensor, labels: Tensor, threat: ThreatModel, generator: torch.Generator
    ) -> Tensor:
        closest = Closest(model, images, labels, threat)
        closest.offer(images, model(images))
        largest = threat.eps_of(images).minimum(_diameter(images, threat)).double()
        rows = closest.standing()
        # Once for all: the examples that stand at the largest eps are not asked again.
        _, fell = split(self._fall(closest, rows, largest[rows], generator))
        rows = rows[fell]
        low, high = torch.zeros_like(largest[rows]), largest[rows]
        for _ in range(self.steps if len(rows) else 0):
            middle = (low + high) / 2
            fell = self._fall(closest, rows, middle, generator)
            low, high = torch.where(fell, low, middle), torch.where(fell, middle, high)
        return closest.best

    def _fall(self, closest: Closest, rows: Tensor, eps: Tensor, generator: torch.Generator) -> Tensor:
        """Which of the rows fall, each at its eps."""
        if not len(rows):
            return torch.zeros_like(rows, dtype=torch.bool)
        part, threat = closest.subset(rows), closest.threat.each(eps)
        adversarial = attack_each(self.attack, part.model, part.images, part.labels, threat, generator=generator)
        part.offer(adversarial, part.model(adversarial))
        closest.absorb(part, rows)
        return part.distance.isfinite()


def _diameter(images: Tensor, threat: ThreatModel) -> Tensor:
    """The largest distance between two images: an eps that forbids nothing."""
    low, high = (torch.full_like(images[:1], bound) for bound in threat.bounds)
    return threat.distance(low, high)
