"""Robustness from epoch to epoch, and the alarm for catastrophic overfitting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, NamedTuple

from torch import nn

from robustcnn.attacks.base import Attack
from robustcnn.attacks.craft import craft
from robustcnn.attacks.gradient import FGSM, PGD
from robustcnn.attacks.swift import Swift
from robustcnn.certify import certified
from robustcnn.core.ranks import ALONE, Ranks
from robustcnn.core.results import EpochMetrics
from robustcnn.core.rows import Draws
from robustcnn.core.runtime import Precision
from robustcnn.core.threat import ThreatModel
from robustcnn.data.resident import ResidentDataset, as_pixels
from robustcnn.evaluate import score
from robustcnn.train.judge import Share, hits

FALLEN, APART = 0.5, 2.0
"""The alarm: robust accuracy under FALLEN of its best so far, and FGSM accuracy over APART times robust accuracy."""
LEARNT = 1.5
"""That much is lost only if PGD accuracy has been over LEARNT times that of guessing."""
BEATEN, HELPLESS, IN_A_ROW = 0.5, 0.5, 3
"""Also an alarm: so many epochs with FGSM accuracy BEATEN of the way from guessing to 1 and PGD accuracy under HELPLESS
times that of guessing. One such epoch may come before better ones."""

OnOverfitting = Literal["warn", "stop", "rollback"]
"""What to do when it happens."""


WatchSuite = Literal["pgd", "swift"]
"""What every epoch is attacked with: PGD of ten steps, or Swift, which is nearly AutoAttack, at a price."""
SUITES: dict[WatchSuite, Attack] = {"pgd": PGD(steps=10, stop=True), "swift": Swift(sentinel=0, escalates=False)}


class CatastrophicOverfitting(UserWarning):
    """Training has learnt to beat the one-step attack instead of resisting the threat."""


class Watched(NamedTuple):
    """Accuracy of one model under attack."""

    robust: float
    """Under PGD of ten steps, or Swift."""
    fgsm: float
    certified: float | None = None
    """Proven by interval bounds."""


class Watch:
    """The examples that are attacked after every epoch."""

    def __init__(
        self,
        data: ResidentDataset,
        threat: ThreatModel,
        *,
        precision: Precision,
        suite: WatchSuite = "pgd",
        certifies: bool = False,
        ranks: Ranks = ALONE,
    ) -> None:
        self.share, self.suite = Share.of(data, ranks), suite
        self.threat, self.precision, self.certifies = threat, precision, certifies

    def __call__(self, model: nn.Module) -> Watched:
        robust, fgsm = (self._accuracy(model, attack) for attack in (SUITES[self.suite], FGSM(stop=True)))
        return Watched(robust, fgsm, self._certified(model) if self.certifies else None)

    def _certified(self, model: nn.Module) -> float:
        def proven(data: ResidentDataset) -> float:
            bounds = certified(model, as_pixels(data.images), data.labels, self.threat, method="interval")
            return float(bounds.sum())

        return self.share.mean(lambda data: [proven(data)])[0]

    def _accuracy(self, model: nn.Module, attack: Attack) -> float:
        def right(data: ResidentDataset) -> float:
            images = as_pixels(data.images)
            # The same random start every time: epochs differ by their weights alone.
            generator = Draws.seeded(0, images.device)
            generator.rows = self.share.rows
            found = craft(
                attack, model, images, data.labels, self.threat, precision=self.precision, generator=generator
            )
            return hits(score(model, replace(data, images=found)))

        return self.share.mean(lambda data: [right(data)])[0]


def has_collapsed(history: Sequence[EpochMetrics], classes: int) -> bool:
    """Whether the last epoch sounds the alarm."""
    if not history or history[-1].robust_accuracy is None or history[-1].fgsm_accuracy is None:
        return False
    robust, fgsm = history[-1].robust_accuracy, history[-1].fgsm_accuracy
    best = max(past.robust_accuracy or 0.0 for past in history)
    fallen = best * classes > LEARNT and robust < FALLEN * best and fgsm > APART * robust
    return fallen or (len(history) >= IN_A_ROW and all(_is_helpless(past, classes) for past in history[-IN_A_ROW:]))


def _is_helpless(epoch: EpochMetrics, classes: int) -> bool:
    """Against many steps, while it has learnt to beat one."""
    robust, fgsm, guessing = epoch.robust_accuracy or 0.0, epoch.fgsm_accuracy or 0.0, 1 / classes
    return fgsm > guessing + BEATEN * (1 - guessing) and robust < HELPLESS * guessing


def alarm(history: Sequence[EpochMetrics], then: OnOverfitting, *, takes_noise: bool) -> CatastrophicOverfitting:
    """What to say of the last epoch, which has collapsed; `takes_noise` if the objective knows that cure."""
    last, best = history[-1], [metrics for metrics in history if metrics.best][-1]
    robust, fgsm, before = (
        100 * (share or 0.0) for share in (last.robust_accuracy, last.fgsm_accuracy, best.robust_accuracy)
    )
    fell = f"fell to {robust:.1f} %, from {before:.1f} % in epoch {best.epoch}"
    change = fell if robust < FALLEN * before else f"is {robust:.1f} %, worse than guessing"
    return CatastrophicOverfitting(
        f"epoch {last.epoch}: robust accuracy {change}, while {fgsm:.1f} % stand FGSM: catastrophic overfitting; "
        f"{_NEXT[then]} (a cure is {'noise: --objective.noise 2' if takes_noise else _STEPS})"
    )


_STEPS = "an attack of several steps: --objective adversarial"
_NEXT: dict[OnOverfitting, str] = {
    "warn": "the best epoch's weights are kept, and training goes on; --fit.on-overfitting stop or rollback would act",
    "stop": "training stops and keeps the best epoch's weights",
    "rollback": "training goes on from the best epoch's weights, with noise where the objective knows it",
}
