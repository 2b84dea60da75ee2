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
from robustcnn.attacks.ensemble import AutoAttack, Ensemble, Outcome, WorstOf
from robustcnn.attacks.square import Square
from robustcnn.attacks.staged import NearestTargets, StagedPGD
from robustcnn.attacks.targets import Target, Towards, choose_targets
from robustcnn.core.broken_by import BrokenBy
from robustcnn.core.losses import margin
from robustcnn.core.snapshots import frame
from robustcnn.core.threat import ThreatModel
from robustcnn.fast.view import CoarseView, exact_logits

LEAST = 8
"""Examples that every stage is given at least, where so many stand."""
VARIES = 1e-3
"""Of the range of the logits: answers further apart than that are two answers."""
MISSED = 0.001
"""Of all examples: more than that broken by another kind of search is too much."""
FURTHER = 1.25
"""A search without gradients outdoes the ascents on an image when it raises the margin so many times as much."""
OUTDONE = 0.05
"""Of what it is shown: more often, and the ascents did not climb."""
NEAR = 0.05
"""Share of the nearest that is searched without gradients."""
GLIMPSE = 16
"""Examples that the model is asked about twice."""


class Stage(NamedTuple):
    """One attack, and the share of the examples left by the first stage that it is given: those nearest to falling."""

    attack: Attack
    share: float


class Seen(NamedTuple):
    """What a search came to."""

    shown: int
    """Examples."""
    hits: int
    """Of these, broken."""
    outdone: int
    """Of the others, those whose margin it raised by a quarter more than all searches before."""

    @classmethod
    def of(cls, fooled: Tensor, clean: Tensor, before: Tensor, after: Tensor) -> Seen:
        """By the margins of the images themselves, and of the worst ones found before the search and in it."""
        outdone = ~fooled & (after - clean > FURTHER * (before - clean))
        return cls(len(fooled), int(fooled.sum()), int(outdone.sum()))


class Sentinel(NamedTuple):
    """A search of another kind on a part of what stands, in which it must find next to nothing."""

    attack: Attack
    share: float
    """Of the examples left by the first stage, the nearest to falling; 0: a random part of what stands."""

    def doubt(self, seen: Seen, total: int) -> str:
        """Why AutoAttack has to take over, if it does.

        It broke any of a random part, or over 0.1 points of all examples; or it outdid the ascents too often.
        """
        where = "those nearest to falling" if self.share else "a random part of what stood"
        if seen.hits and not (self.share and seen.hits <= MISSED * total):
            return f"{self.attack!r} broke {seen.hits} of {where}: gradients do not show all"
        if seen.outdone > max(OUTDONE * seen.shown, 1):
            return (
                f"{self.attack!r} got a quarter further than all ascents on {seen.outdone} of {seen.shown}, {where}: "
                "gradients do not show all"
            )
        return ""


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class Swift(Ensemble):
    """Staged ascents on all, more on what is nearest to falling, and a sentinel; AutoAttack in case of doubt."""

    effort: float = 1.0
    """All steps and queries are multiplied by it."""
    sentinel: int = 100
    """Examples, drawn from those that stand, on which a search without gradients must find nothing; 0: no watch."""
    escalates: bool = True
    """Whether AutoAttack takes over when the sentinel, or an answer that varies, says that something may be missed."""
    target: Target = "none"
    """none, or a wrong class to reach: second (likeliest), least (likely), random, or the index of a class."""

    def __post_init__(self) -> None:
        if not self.effort > 0:
            raise ValueError(f"effort must be positive, got {self.effort:g}")
        if self.sentinel < 0:
            raise ValueError(f"sentinel must be a number of examples, or 0 for none, got {self.sentinel}")

    def stages(self, threat: ThreatModel) -> tuple[Stage, ...]:
        """What is done, in this order; measured in `experiments/46_swift_budget.py`."""
        ascents: tuple[Stage, ...] = (
            Stage(StagedPGD(steps=self._scaled(40), orders=1), 1.0),
            Stage(NearestTargets(steps=self._scaled(20)), 0.3),
            Stage(StagedPGD(steps=self._scaled(80), orders=2), 0.2),
            Stage(NearestTargets(steps=self._scaled(100)), 0.2),
            Stage(APGD(steps=self._scaled(100)), 0.1),
            Stage(NearestTargets(steps=self._scaled(200)), NEAR),
        )
        if threat.sparse:
            # Steps of one length suit l1 badly: AutoPGD's adapt.
            short, long = self._scaled(60), self._scaled(100)
            ascents = (
                Stage(APGD(steps=short), 1.0),
                Stage(APGD(steps=short, loss="margin", targets=3), 0.5),
                Stage(APGD(steps=long, restarts=2), 0.4),
                Stage(APGD(steps=long, loss="margin", targets=3, restarts=2), 0.4),
            )
        # A sentinel has to be the first to search without gradients, or its doubt comes too late.
        unwatched = threat.windows and not self.sentinel
        return (*ascents, Stage(self.search_without_gradients, NEAR)) if unwatched else ascents

    @property
    def watches_itself(self) -> bool:
        """Whether an evaluation has to keep watch for it, and hand over to AutoAttack."""
        return self.escalates and self.target == "none"

    @property
    def cheap(self) -> Swift:
        """The stages alone, for one who keeps watch himself."""
        return replace(self, escalates=False)

    @property
    def search_without_gradients(self) -> Square:
        """For the nearest, and for the sentinel."""
        return Square(queries=self._scaled(300))

    def sentinels(self, threat: ThreatModel) -> tuple[Sentinel, ...]:
        """Who looks whether something was missed; where no search without gradients is known, AutoAttack on a few."""
        if threat.windows:
            return Sentinel(self.search_without_gradients, NEAR), Sentinel(self.search_without_gradients, 0)
        return (Sentinel(AutoAttack(), 0.01),)

    def members(self, classes: int, threat: ThreatModel) -> tuple[Attack, ...]:  # noqa: ARG002
        attacks = tuple(stage.attack for stage in self.stages(threat))
        if not self.escalates:
            return attacks
        return (*attacks, AutoAttack())

    def outcome(
        self, model: nn.Module, images: Tensor, labels: Tensor, threat: ThreatModel, generator: torch.Generator
    ) -> Outcome:
        if self.target != "none":
            return self._towards(model, images, labels, threat, generator)
        if self.escalates and answers_vary(model, images):
            found = AutoAttack(version="rand").outcome(model, images, labels, threat, generator)
            return replace(found, escalated="the model does not answer twice alike")
        ground, index, doubt = _Ground(model, images, labels, threat, generator), 0, ""
        sentinels = self.sentinels(threat) if self.escalates and self.sentinel else ()
        plan: tuple[Stage | Sentinel, ...] = (*self.stages(threat), *sentinels)
        with frame("stages", lambda: {"index": index, "doubt": doubt, **ground.kept}) as before:
            if before:
                ground.take_up(before)
                doubt = before["doubt"]
            for index in range(before["index"] if before else 0, len(plan)):
                each = plan[index]
                rows = ground.nearest(each.share) if each.share else ground.some(self.sentinel)
                seen = ground.attack(each.attack, rows, index)
                doubt = doubt or (each.doubt(seen, len(images)) if isinstance(each, Sentinel) else "")
            index = len(plan)
            if doubt:
                ground.attack(takeover(threat), ground.standing, index)
        names = [f"sentinel: {each.attack!r}" if isinstance(each, Sentinel) else repr(each.attack) for each in plan]
        return Outcome(
            images=ground.worst,
            broken_by=ground.broken_by,
            names=(*names, repr(takeover(threat))) if doubt else tuple(names),
            escalated=doubt,
        )

    def _towards(
        self, model: nn.Module, images: Tensor, labels: Tensor, threat: ThreatModel, generator: torch.Generator
    ) -> Outcome:
        """One class after the other: images are led away from the answer that it is none of this class."""
        aims = choose_targets(self.target, exact_logits(model, images), labels, generator=generator)
        assert aims is not None
        plain = replace(self, target="none")
        attack = AutoAttack(version="rand") if self.escalates and answers_vary(model, images) else plain
        # No image can be led to the class that is already right.
        reachable = aims != labels
        classes, number = aims[reachable].unique().tolist(), 0
        worst, broken_by = images.clone(), torch.full_like(labels, BrokenBy.STANDING)
        told: dict[str, Any] = {"names": [], "escalated": ""}
        with frame("classes", lambda: {"number": number, "worst": worst, "broken": broken_by, **told}) as before:
            if before:
                worst, broken_by, told = before["worst"], before["broken"], {name: before[name] for name in told}
            for number in range(before["number"] if before else 0, len(classes)):
                rows = (reachable & (aims == classes[number])).nonzero().flatten()
                face = Towards(model.fine() if isinstance(model, CoarseView) else model, classes[number])
                found = attack.outcome(face, images[rows], torch.zeros_like(rows), threat.of(rows), generator)
                worst = worst.index_copy(0, rows, found.images)
                broken_by = broken_by.index_copy(0, rows, found.broken_by)
                told = {
                    "names": max(told["names"], found.names, key=len),
                    "escalated": told["escalated"] or found.escalated,
                }
        return Outcome(images=worst, broken_by=broken_by, names=tuple(told["names"]), escalated=str(told["escalated"]))

    def _scaled(self, count: int) -> int:
        return max(1, round(self.effort * count))


def takeover(threat: ThreatModel) -> Attack:
    """AutoAttack, and once more Square: where gradients hide, a second random search finds what the first did not."""
    return WorstOf(attacks=(AutoAttack(), Square())) if threat.windows else AutoAttack()


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
        self.worst, self.clean = images.clone(), margin(logits, labels)
        self.near = self.clean.clone()
        self.broken_by = torch.where(is_fooled(logits, labels), BrokenBy.CLEAN, BrokenBy.STANDING)
        self.lot = torch.rand(len(labels), generator=generator, device=generator.device).to(labels.device)
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
        return rows[self.lot[rows].argsort()[:count].sort().values]

    def attack(self, attack: Attack, rows: Tensor, index: int) -> Seen:
        """Have the rows attacked."""
        if not len(rows):
            return Seen(0, 0, 0)
        origin, labels = self.images[rows], self.labels[rows]
        found = self.threat.project(attack(self.model, origin, labels, self.threat, generator=self.generator), origin)
        logits = exact_logits(self.model, found)
        fooled, near = is_fooled(logits, labels), margin(logits, labels)
        seen = Seen.of(fooled, self.clean[rows], self.near[rows], near)
        worse = fooled | (near > self.near[rows])
        self.worst[rows[worse]], self.near[rows[worse]] = found[worse], near[worse]
        self.broken_by[rows[fooled]] = index
        if self.left is None:
            self.left = len(self.standing)
        return seen
