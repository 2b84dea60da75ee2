"""What the checks share: a model, some examples, a threat, and how the examples fare under an attack."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor, nn

from robustcnn.attacks import APGD, PGD, Attack, craft
from robustcnn.core.results import Finding, Share, Verdict
from robustcnn.core.runtime import seeded
from robustcnn.core.threat import ThreatModel
from robustcnn.data import ResidentDataset
from robustcnn.evaluate.predict import predict

STEPS = 20
"""Of the white-box attack that all others are held against."""
TRIED = 64
"""Examples, at most, that each of the others is tried on."""
FEW = 0.01
"""What may happen to a share of the examples without being the model's fault."""


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Victim, examples and threat of one series of checks; every attack is judged by the victim itself."""

    model: nn.Module
    view: nn.Module
    """To search with."""
    surrogate: nn.Module
    """Another model of the same pictures."""
    data: ResidentDataset
    """Float pixels."""
    threat: ThreatModel
    draws: int = 1
    """Looks at the model whose mean counts; more than 1 for models that draw random numbers."""
    seed: int = 0

    @property
    def white_box(self) -> PGD | APGD:
        """The attack that all others are held against; its loss is not rounded away where a model is sure of itself."""
        # To stop at the first success on a random model is to stop at a lucky draw.
        stop = self.draws == 1
        if self.threat.sparse:
            # Steps of a fixed size, a few pixels each, would take hundreds and still end too early.
            return APGD(steps=5 * STEPS, stop=stop, eot=self.draws)
        return PGD(steps=STEPS, loss="odds", stop=stop, eot=self.draws)

    @cached_property
    def right(self) -> Tensor:
        """Rows that the model gets right when nobody attacks."""
        return self._right(self.data).nonzero().flatten()

    @cached_property
    def attacked(self) -> Tensor:
        """The images of the rows `right`, as the white-box attack left them."""
        return self._attack(self.white_box, self.data.subset(self.right), self.threat, self.view)

    @cached_property
    def stands(self) -> Tensor:
        """Which of the rows `right` the white-box attack leaves standing."""
        return self._judge(self.attacked, self.right, self.threat)

    @property
    def robust(self) -> Tensor:
        """Rows that the white-box attack leaves standing."""
        return self.right[self.stands]

    @property
    def broken(self) -> Tensor:
        """Rows that only the white-box attack gets wrong."""
        return self.right[~self.stands]

    def standing(
        self, attack: Attack, rows: Tensor, *, threat: ThreatModel | None = None, made_on: nn.Module | None = None
    ) -> Share:
        """How many of these rows another attack, or one in another ball, leaves standing."""
        threat = threat or self.threat
        found = self._attack(attack, self.data.subset(rows), threat, made_on or self.view)
        return Share.of(int(self._judge(found, rows, threat).sum()), len(rows))

    def _attack(self, attack: Attack, part: ResidentDataset, threat: ThreatModel, view: nn.Module) -> Tensor:
        # The same numbers each time, so that two attacks differ in nothing but themselves.
        generator = seeded(self.seed, part.device)
        return craft(attack, view, part.images, part.labels, threat, generator=generator)

    def _judge(self, found: Tensor, rows: Tensor, threat: ThreatModel) -> Tensor:
        part = self.data.subset(rows)
        return self._right(replace(part, images=threat.project(found, part.images)))

    def _right(self, shown: ResidentDataset) -> Tensor:
        """In float32, and in the mean of the model's draws."""
        if not len(shown):
            return torch.empty(0, dtype=torch.bool, device=shown.device)
        logits = torch.stack([predict(self.model, shown) for _ in range(self.draws)]).mean(0)
        return logits.argmax(1) == shown.labels


def some(rows: Tensor, most: int = TRIED) -> Tensor:
    """Up to so many of the rows, evenly spread."""
    if len(rows) <= most:
        return rows
    return rows[torch.linspace(0, len(rows) - 1, most, device=rows.device).round().long()]


def finding(check: str, seen: str, *, figure: float | None, trouble: Verdict | None, cure: str) -> Finding:
    """What was seen and, where there is `trouble`, what to do about it."""
    says = f"{seen}: {cure}" if trouble else seen
    return Finding(check=check, verdict=trouble or "pass", figure=figure, says=says)
