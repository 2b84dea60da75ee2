"""Several attacks as one: the worst case for each example, and which attack it was that broke it."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor, nn

from robustcnn.attacks.autopgd import APGD
from robustcnn.attacks.base import Attack, Guarded, attack_each, check_batch, is_fooled
from robustcnn.attacks.fab import FAB
from robustcnn.attacks.square import Square
from robustcnn.core.broken_by import BrokenBy
from robustcnn.core.losses import LossName, margin
from robustcnn.core.norms import NORMS
from robustcnn.core.norms.batched import pick
from robustcnn.core.progress import narrowed
from robustcnn.core.runtime import evaluating, seeded
from robustcnn.core.snapshots import frame
from robustcnn.core.threat import ThreatModel
from robustcnn.core.waiting import split
from robustcnn.fast.view import exact_logits

COSTS = {"APGD": 1.0, "FAB": 0.5, "Square": 5.0, "FGSM": 0.01, "PGD": 0.4}
"""Of a run against one target, in APGD's; as measured on small robust networks."""
Version = Literal["standard", "plus", "rand"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What an ensemble found for each example."""

    images: Tensor
    """Adversarial where an attack succeeded, else the image that came nearest to it."""
    broken_by: Tensor
    """Index (N,) of the first attack in `names` that broke the example, or a `BrokenBy`."""
    names: tuple[str, ...]
    """The attacks, in the order in which they ran."""
    escalated: str = ""
    """Why a cheap ensemble handed over to AutoAttack; empty when it did not."""

    @property
    def standing(self) -> Tensor:
        """Which examples (N,) no attack broke."""
        return self.broken_by == BrokenBy.STANDING

    def counts(self) -> dict[str, int]:
        """How many were wrong when `clean`, how many each attack broke first, and how many are `standing`."""
        standing, clean, *broken = torch.bincount(self.broken_by + 2, minlength=len(self.names) + 2).tolist()
        return {"clean": clean, **dict(zip(self.names, broken, strict=True)), "standing": standing}


class Ensemble(Guarded):
    """Attacks one after the other, each on the examples that still stand."""

    __slots__ = ()

    ends_at_boundary: ClassVar[bool] = True

    @property
    def takes_eps_each(self) -> bool:
        return True

    @abstractmethod
    def members(self, classes: int, threat: ThreatModel) -> tuple[Attack, ...]:
        """The attacks, in the order in which they run."""

    def run(
        self,
        model: nn.Module,
        images: Tensor,
        labels: Tensor,
        threat: ThreatModel,
        *,
        generator: torch.Generator | None = None,
    ) -> Outcome:
        """The worst case, and what it is due to."""
        check_batch(images, labels, threat)
        with torch.no_grad(), evaluating(model):
            generator = seeded(0, images.device) if generator is None else generator
            return self.outcome(model, images, labels, threat, generator)

    def search(
        self, model: nn.Module, images: Tensor, labels: Tensor, threat: ThreatModel, generator: torch.Generator
    ) -> Tensor:
        return self.outcome(model, images, labels, threat, generator).images

    def outcome(
        self, model: nn.Module, images: Tensor, labels: Tensor, threat: ThreatModel, generator: torch.Generator
    ) -> Outcome:
        """`run`, for those who vouch for the batch and the model's mode."""
        logits = exact_logits(model, images)
        attacks = self.members(logits.shape[1], threat)
        fooled, worst, loss = is_fooled(logits, labels), images.clone(), margin(logits, labels)
        broken_by = torch.where(fooled, BrokenBy.CLEAN, BrokenBy.STANDING)
        index = 0
        with frame("members", lambda: {"index": index, "worst": worst, "loss": loss, "broken": broken_by}) as before:
            if before:
                worst, loss, broken_by = before["worst"], before["loss"], before["broken"]
            for index in range(before["index"] if before else 0, len(attacks)):
                attack = attacks[index]
                _, rows = split(broken_by == BrokenBy.STANDING)
                if not len(rows):
                    break
                ball = threat.of(rows)
                with narrowed(repr(attack), len(images) - len(rows), len(images), *_share(attacks, index)):
                    found = attack_each(attack, model, images[rows], labels[rows], ball, generator=generator)
                found = ball.project(found, images[rows])
                logits = exact_logits(model, found)
                fooled, value = is_fooled(logits, labels[rows]), margin(logits, labels[rows])
                worse = fooled | (value > loss[rows])
                worst = worst.index_copy(0, rows, pick(worse, found, worst[rows]))
                loss = loss.index_copy(0, rows, torch.where(worse, value, loss[rows]))
                broken_by = broken_by.index_copy(0, rows, torch.where(fooled, index, broken_by[rows]))
        return Outcome(images=worst, broken_by=broken_by, names=tuple(map(repr, attacks)))


def _share(attacks: Sequence[Attack], index: int) -> tuple[float, float]:
    """What of the whole work is done before the member, and what it does itself, by what members usually take."""
    costs = [COSTS.get(type(attack).__name__, 1.0) * (getattr(attack, "targets", 0) or 1) for attack in attacks]
    return sum(costs[:index]) / sum(costs), costs[index] / sum(costs)


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class WorstOf(Ensemble):
    """The worst case over these attacks; each works on what the ones before it left, so put the cheap ones first."""

    attacks: tuple[Attack, ...]
    """In the order in which they run."""

    def __post_init__(self) -> None:
        if not self.attacks:
            raise ValueError("attacks must hold at least one attack, got none")
        for attack in self.attacks:
            if not getattr(attack, "in_ball", True):
                raise ValueError(f"attacks must stay in the threat's ball, {attack!r} does not (judge it by itself)")

    def members(self, classes: int, threat: ThreatModel) -> tuple[Attack, ...]:  # noqa: ARG002
        return self.attacks


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class AutoAttack(Ensemble):
    """The ensemble of Croce & Hein (2020) with its published budgets: what others report as robust accuracy."""

    version: Version = "standard"
    """standard; plus (five restarts, untargeted attacks too); rand (mean gradients, for models that draw numbers)."""

    def __post_init__(self) -> None:
        if self.version not in get_args(Version):
            raise ValueError(f"version must be one of {', '.join(get_args(Version))}, got {self.version!r}")

    def members(self, classes: int, threat: ThreatModel) -> tuple[Attack, ...]:
        if self.version == "rand":
            return APGD(loss="ce", eot=20), APGD(loss=_dlr_or_margin(classes, 3), eot=20)
        # Targets beyond the wrong classes there are do not exist: from 10 classes on these are the published numbers.
        others = min(9, classes - 1)
        distance, queries = FAB(targets=others, stop=True), _square(threat)
        if self.version == "standard":
            restarts, aims = (5, min(5, others)) if threat.sparse else (1, others)
            return APGD(restarts=restarts), APGD(loss=_dlr_or_margin(classes, 4), targets=aims), distance, *queries
        targeted = APGD(loss=_dlr_or_margin(classes, 4), targets=others)
        untargeted = APGD(loss=_dlr_or_margin(classes, 3), restarts=5)
        return APGD(restarts=5), untargeted, FAB(restarts=5, stop=True), *queries, targeted, distance


def _dlr_or_margin(classes: int, needed: int) -> LossName:
    """DLR divides by a gap to the third or fourth logit; models without one get the margin, and their user a word."""
    if classes >= needed:
        return "dlr"
    aim = "targeted " if needed == 4 else ""
    warnings.warn(
        f"AutoAttack's {aim}DLR loss needs {needed} classes, the model has {classes}: the margin takes its place",
        stacklevel=2,
    )
    return "margin"


def _square(threat: ThreatModel) -> tuple[Attack, ...]:
    if threat.windows:
        return (Square(rescale=False),)
    known = ", ".join(name for name, norm in NORMS.items() if norm.windows)
    warnings.warn(f"AutoAttack runs without Square in {threat.norm}: its windows are known for {known}", stacklevel=2)
    return ()
