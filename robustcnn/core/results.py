"""Results as plain frozen values; tables, plots and trackers are views of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Literal

from robustcnn.core.audited import Audited
from robustcnn.core.proof import Proof, TwoSided
from robustcnn.core.queries import Queries
from robustcnn.core.share import UNDEFINED as UNDEFINED
from robustcnn.core.share import Share as Share


@dataclass(frozen=True, kw_only=True, slots=True)
class EpochMetrics:
    """What one pass over the training data brought."""

    epoch: int
    """Counted from 1."""
    train_loss: float
    """Mean over the (augmented) training examples while the weights moved, penalties left out."""
    valid_loss: float
    valid_accuracy: float
    learning_rate: float
    """At the epoch's last step."""
    images_per_second: float
    """Training images; the validation pass is not counted."""
    seconds: float
    """The whole epoch, validation included."""
    best: bool = False
    """Whether the monitored metric was never better before."""
    robust_accuracy: float | None = None
    """Under PGD of ten steps, on a part of the validation set; None where nothing was attacked."""
    fgsm_accuracy: float | None = None
    """Under FGSM, on the same part."""
    certified_accuracy: float | None = None
    """Proven by interval bounds, on the same part; None where no bounds are trained."""

    @property
    def train_over_valid(self) -> float:
        """Well below 1: overfitting."""
        return self.train_loss / self.valid_loss if self.valid_loss else float("nan")

    def __str__(self) -> str:
        row = ROW.format(
            epoch=self.epoch,
            train=self.train_loss,
            valid=self.valid_loss,
            ratio=self.train_over_valid,
            accuracy=100 * self.valid_accuracy,
            rate=self.learning_rate,
            speed=self.images_per_second,
            seconds=self.seconds,
            star="*" if self.best else "",
        )
        if self.robust_accuracy is None or self.fgsm_accuracy is None:
            return row
        row = f"{row:<88}  robust {100 * self.robust_accuracy:6.2f}%  FGSM {100 * self.fgsm_accuracy:6.2f}%"
        return row if self.certified_accuracy is None else f"{row}  proven {100 * self.certified_accuracy:6.2f}%"


HEADER = "epoch  train loss  valid loss  train/valid  valid acc  learn. rate   images/s    time"
ROW = (
    "{epoch:>5}  {train:>10.4f}  {valid:>10.4f}  {ratio:>11.3f}  {accuracy:>8.2f}%  {rate:>11.2e}  {speed:>9,.0f}"
    "  {seconds:>5.1f}s {star}"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Scores:
    """How a model did on one data set."""

    count: int
    loss: float
    accuracy: float


_NO_QUALITY = ("epoch", "best", "learning_rate", "images_per_second", "seconds")
MONITORS = tuple(field.name for field in fields(EpochMetrics) if field.name not in _NO_QUALITY)
"""The recorded metrics that early stopping can watch."""


def is_better(metric: str, new: float, old: float) -> bool:
    """Higher is better for accuracies, lower for everything else."""
    return new > old if "accuracy" in metric else new < old


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassMetrics:
    """One class against the rest; None is undefined: there was nothing to count."""

    name: str
    support: int
    """Examples of this class."""
    precision: float | None
    recall: Share
    """Sensitivity; on attacked inputs this is the class's robust accuracy."""
    specificity: float | None
    f1: float | None
    auc: float | None
    roc: tuple[tuple[float, float], ...]
    """(false positive rate, true positive rate), thinned out for drawing; empty where undefined."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bin:
    """The answers whose confidence lies in one tenth of [0, 1]."""

    count: int
    confidence: float | None
    """Mean."""
    accuracy: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Metrics:
    """What a set of answers is worth; means over classes are over those that are defined, None if none is."""

    accuracy: Share
    balanced_accuracy: float | None
    precision_macro: float | None
    recall_macro: float | None
    specificity_macro: float | None
    f1_macro: float | None
    f1_weighted: float | None
    auc: float | None
    """Of two classes, or the mean over classes, each against the rest."""
    log_loss: float
    brier: float
    """Mean squared distance between the probabilities and the truth, summed over classes: 0 to 2."""
    calibration_error: float
    """Expected calibration error, ten bins of equal width."""
    confidence: float
    """Mean probability of the predicted class."""
    confidence_wrong: float | None
    """The same over the wrong answers."""
    classes: tuple[ClassMetrics, ...]
    confusion: tuple[tuple[int, ...], ...]
    """A row a true class, a column a predicted one."""
    reliability: tuple[Bin, ...]

    @property
    def error(self) -> float | None:
        return None if self.accuracy.value is None else 1 - self.accuracy.value

    @property
    def undefined(self) -> tuple[str, ...]:
        """Names of the classes that the sample lacks."""
        return tuple(each.name for each in self.classes if not each.support)


@dataclass(frozen=True, kw_only=True, slots=True)
class AttackScore:
    """One attack in one ball, judged by itself."""

    attack: str
    metrics: Metrics
    """Of the attacked inputs: `metrics.accuracy` is the accuracy against this attack."""
    first: int
    """Examples that this attack broke and no earlier one in the list."""
    kept_as_bytes: Share
    """Of its successes, how many still succeed when saved as 8-bit pixels (and still in the ball)."""
    distances: dict[str, float]
    """Median length of its successes' changes, by norm: linf, l2, l1; empty where nothing succeeded."""
    seconds: float
    queries: Queries | None = None
    """Of a black box only."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ThreatScore:
    """The worst case in one ball: an example counts as robust when it is right and no attack of the list breaks it."""

    norm: str
    eps: float
    robust: Share
    worst: Metrics
    """Of the worst inputs: each example's first success, else the last attack's try."""
    attacks: tuple[AttackScore, ...]
    escalated: str = ""
    """Why AutoAttack had to follow the cheap attacks, on all that they left; empty when it had not."""
    audit: Audited | None = None
    """What AutoAttack's robust accuracy is, estimated from a random part of what stands."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Smallest:
    """The least eps of the list that broke each example; clean mistakes are 0, what always stood is None."""

    norm: str
    eps: tuple[float | None, ...]
    median: float | None
    """None when at least half of the examples stood to the end: the median is larger than the largest eps."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CorruptionScore:
    """Accuracy under one corruption, at severities 1 to 5."""

    corruption: str
    accuracy: tuple[Share, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class TransferScore:
    """Examples made on one model, judged on another: on those that the second gets right without an attack."""

    source: str
    target: str
    accuracy: Share


Verdict = Literal["pass", "warn", "fail", "not tested"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """What one check of the evaluation itself brought."""

    check: str
    verdict: Verdict
    figure: float | None
    """What was measured, as far as one number says it."""
    says: str
    """One sentence: what was seen, and what to do about it when it is not a pass."""
    profile: tuple[tuple[float, float, float], ...] = ()
    """Share of the way, and the margin there, towards the white box's image and a rival's, of one example."""
    passes: int = field(default=0, compare=False)
    """Pictures that the model was shown for it."""
    seconds: float = field(default=0.0, compare=False)

    @property
    def speaks_up(self) -> bool:
        """Whether it is a reason to doubt: a warning or a failure."""
        return self.verdict in ("warn", "fail")

    @property
    def tested(self) -> bool:
        """Whether there was anything to look at: an attack on no examples finds nothing, and proves nothing."""
        return self.verdict != "not tested"


@dataclass(frozen=True, kw_only=True, slots=True)
class RobustnessReport:
    """All that one evaluation found out about a model."""

    model: str
    data: str
    fingerprint: str
    """Of the examples that were judged."""
    count: int
    clean: Metrics
    threats: tuple[ThreatScore, ...]
    """Grouped by norm, eps growing: what breaks in a small ball is broken in the larger ones, by construction."""
    smallest: tuple[Smallest, ...]
    findings: tuple[Finding, ...] = ()
    corruptions: tuple[CorruptionScore, ...] = ()
    transfer: tuple[TransferScore, ...] = ()
    proofs: tuple[Proof, ...] = ()
    """What was proven, one for each of the threats where a lower bound was asked for and could be had."""
    two_sided: tuple[TwoSided, ...] = ()
    """One a norm: how far the undecided examples are from being decided."""
    made_by: dict[str, str] = field(default_factory=dict)
    """Versions, device, seed, precision of the search."""
    headline: tuple[str, float] | None = None
    """Norm and eps of the one figure that is shown first: the usual ball of the data, where it was attacked in."""

    def proof(self, norm: str, eps: float) -> Proof | None:
        """What was proven in that ball."""
        return next((each for each in self.proofs if (each.norm, each.eps) == (norm, eps)), None)

    @property
    def norms(self) -> tuple[str, ...]:
        """Of the threats, each once."""
        return tuple(dict.fromkeys(threat.norm for threat in self.threats))

    @property
    def verdict(self) -> Verdict | None:
        """The worst of the findings that tested something; None when nothing was checked."""
        return max((each.verdict for each in self.findings if each.tested), key=VERDICTS.index, default=None)


VERDICTS: tuple[Verdict, ...] = ("pass", "warn", "fail")


def passed(findings: Sequence[Finding]) -> str:
    """How many of the checks that had something to test found nothing, and how many had nothing."""
    tested = [each for each in findings if each.tested]
    good, idle = sum(not each.speaks_up for each in tested), len(findings) - len(tested)
    return f"{good} of {len(tested)} checks pass{f', {idle} more had nothing to test' if idle else ''}"
