"""A cheap ensemble: strong ascents on all examples, more of them on those that came nearest to falling, and a sentinel.

It is no AutoAttack, and its figures are never called by that name. Where it may have missed something (a search without
gradients finds what it left, or the model does not answer twice alike) AutoAttack itself is run on all that stand.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from robustcnn.attacks.autopgd import APGD
from robustcnn.attacks.base import Attack, is_fooled
from robustcnn.attacks.ensemble import AutoAttack, Ensemble, Outcome
from robustcnn.attacks.square import Square
from robustcnn.attacks.staged import NearestTargets, StagedPGD, nearness
from robustcnn.core.broken_by import BrokenBy
from robustcnn.core.snapshots import frame
from robustcnn.core.threat import ThreatModel
from robustcnn.fast.view import exact_logits

LEAST = 8
"""Examples that every stage is given at least, where so many stand."""
VARIES = 1e-3
"""Of the range of the logits: answers further apart than that are two answers."""
GLIMPSE = 16
"""Examples that the model is asked about twice."""


class Stage(NamedTuple):
    """One attack, and the share of the examples left by the first stage that it is given: those nearest to falling."""

    attack: Attack
    share: float


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class Swift(Ensemble):
    """Staged ascents on all, more on what is nearest to falling, and a sentinel; AutoAttack in case of doubt."""

    effort: float = 1.0
    """All steps and queries are multiplied by it."""
    sentinel: int = 100
    """Examples, drawn from those that stand, on which a search without gradients must find nothing; 0 for none."""
    escalates: bool = True
    """Whether AutoAttack takes over when the sentinel, or an answer that varies, says that something may be missed."""

    def __post_init__(self) -> None:
        if not self.effort > 0:
            raise ValueError(f"effort must be positive, got {self.effort:g}")
        if self.sentinel < 0:
            raise ValueError(f"sentinel must be a number of examples, or 0 for none, got {self.sentinel}")

    def stages(self, threat: ThreatModel) -> tuple[Stage, ...]:
        """What is done, in this order; measured in `experiments/22_swift.py`."""
        ascents = (
            Stage(StagedPGD(steps=self._scaled(40), orders=1), 1.0),
            Stage(NearestTargets(steps=self._scaled(20)), 0.5),
            Stage(StagedPGD(steps=self._scaled(80), orders=2), 0.2),
            Stage(NearestTargets(steps=self._scaled(50), restarts=2), 0.05),
        )
        if threat.sparse:
            # Steps of one length suit l1 badly: AutoPGD's adapt.
            ascents = (Stage(APGD(steps=self._scaled(60)), 1.0), *ascents[1:])
        return (*ascents, Stage(self.search_without_gradients, 0.05)) if threat.windows else ascents

    @property
    def cheap(self) -> Swift:
        """The ascents and Square alone, for one who keeps watch himself."""
        return replace(self, escalates=False)

    @property
    def search_without_gradients(self) -> Square:
        """For the nearest, and for the sentinel."""
        return Square(queries=self._scaled(300))

    def members(self, classes: int, threat: ThreatModel) -> tuple[Attack, ...]:  # noqa: ARG002
        attacks = tuple(stage.attack for stage in self.stages(threat))
        if not self.escalates:
            return attacks
        return (*attacks, AutoAttack())

    def outcome(
        self, model: nn.Module, images: Tensor, labels: Tensor, threat: ThreatModel, generator: torch.Generator
    ) -> Outcome:
        if self.escalates and answers_vary(model, images):
            found = AutoAttack(version="rand").outcome(model, images, labels, threat, generator)
            return replace(found, escalated="the model does not answer twice alike")
        ground = _Ground(model, images, labels, threat, generator)
        stages = self.stages(threat)
        index = 0
        with frame("stages", lambda: {"index": index, **ground.kept}) as before:
            if before:
                ground.take_up(before)
            for index in range(before["index"] if before else 0, len(stages)):
                ground.attack(stages[index].attack, ground.nearest(stages[index].share), index)
        names = [repr(stage.attack) for stage in stages]
        hits = 0
        if self.escalates and self.sentinel and threat.windows:
            names.append(f"sentinel: {self.search_without_gradients!r}")
            hits = ground.attack(self.search_without_gradients, ground.some(self.sentinel), len(names) - 1)
        if hits:
            names.append(repr(AutoAttack()))
            ground.attack(AutoAttack(), ground.standing, len(names) - 1)
        return Outcome(
            images=ground.worst,
            broken_by=ground.broken_by,
            names=tuple(names),
            escalated=sentinel_says(hits, self.search_without_gradients) if hits else "",
        )

    def _scaled(self, count: int) -> int:
        return max(1, round(self.effort * count))


def sentinel_says(hits: int, attack: Attack) -> str:
    """Why AutoAttack had to take over."""
    return f"{attack!r} broke {hits} of a random part of what stood: gradients do not show all"


@torch.no_grad()
def answers_vary(model: nn.Module, images: Tensor) -> bool:
    """Whether the model, asked twice about the same images, gives two answers: it draws numbers or keeps a state."""
    few = images[:GLIMPSE]
    first, second = exact_logits(model, few), exact_logits(model, few)
    low, high = first.aminmax(dim=1)
    return not bool(((first - second).abs().amax(1) <= VARIES * (high - low)).all())


class _Ground:
    """What stands, how near each is to falling, and the worst images found."""

    def __init__(
        self, model: nn.Module, images: Tensor, labels: Tensor, threat: ThreatModel, generator: torch.Generator
    ) -> None:
        self.model, self.images, self.labels, self.threat, self.generator = model, images, labels, threat, generator
        logits = exact_logits(model, images)
        self.worst, self.near = images.clone(), nearness(logits, labels)
        self.broken_by = torch.where(is_fooled(logits, labels), BrokenBy.CLEAN, BrokenBy.STANDING)
        self.left: int | None = None
        """Examples that the first attack left."""

    @property
    def kept(self) -> dict[str, Tensor | int | None]:
        """For a snapshot."""
        return {"worst": self.worst, "near": self.near, "broken_by": self.broken_by, "left": self.left}

    def take_up(self, kept: Mapping[str, Any]) -> None:
        """Be as the snapshot says."""
        for name in self.kept:
            setattr(self, name, kept[name])

    @property
    def standing(self) -> Tensor:
        return (self.broken_by == BrokenBy.STANDING).nonzero().flatten()

    def nearest(self, share: float) -> Tensor:
        """Rows: of those that stand the nearest to falling, as many as a share of those that the first attack left."""
        rows = self.standing
        count = len(rows) if self.left is None else max(math.ceil(share * self.left), LEAST)
        return rows[self.near[rows].argsort(descending=True, stable=True)[:count]]

    def some(self, count: int) -> Tensor:
        """Rows: a random part of those that stand."""
        rows = self.standing
        drawn = torch.randperm(len(rows), generator=self.generator, device=self.generator.device)
        return rows[drawn[:count].sort().values.to(rows.device)]

    def attack(self, attack: Attack, rows: Tensor, index: int) -> int:
        """How many of the rows fall."""
        if not len(rows):
            return 0
        origin, labels = self.images[rows], self.labels[rows]
        found = self.threat.project(attack(self.model, origin, labels, self.threat, generator=self.generator), origin)
        logits = exact_logits(self.model, found)
        fooled, near = is_fooled(logits, labels), nearness(logits, labels)
        worse = fooled | (near > self.near[rows])
        self.worst[rows[worse]], self.near[rows[worse]] = found[worse], near[worse]
        self.broken_by[rows[fooled]] = index
        if self.left is None:
            self.left = len(self.standing)
        return int(fooled.sum())
