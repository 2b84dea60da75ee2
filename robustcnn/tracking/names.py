"""What things are called in MLflow, whose names must not hold @ = ( ) or a comma and whose steps are whole numbers.

accuracy, f1, auc ...             the headline: a dozen plain names at most, of the strongest evaluation
clean/f1_macro ...                every scalar of the report on untouched images
robust/linf_8                     robust accuracy in each ball
robust/f1_macro ...               every scalar on the worst of all attacks in the headline's ball
audited/linf_8, broken_linf_8     AutoAttack's, estimated, and the part it broke of what cheap attacks left
curve/worst_linf                  robust accuracy; step = eps in 1/255 for linf, in 1/1000 for l2 and l1
curve/pgd_steps_40_linf           the same, this attack alone
curve/certified_linf              proven robust accuracy, on the same axis
certified/linf_8                  proven in the ball of eps 8/255; undecided_linf_8 is neither proven nor broken
eps/linf                          eps itself at these steps: the axis of a chart
corruption/fog                    step = severity
check/NAME                        0 pass, 1 warn, 2 fail
fit/valid_accuracy ...            step = epoch
gan/generator_loss ...            the same of a pre-training
interval/accuracy_low, _high      the ends of 95 % intervals
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from robustcnn.core.audited import Audited
from robustcnn.core.results import VERDICTS, EpochMetrics, Metrics, RobustnessReport, Share, ThreatScore
from robustcnn.tracking.records import Point

if TYPE_CHECKING:
    from robustcnn.train.gan.metrics import GanMetrics

LONGEST_KEY = 250
LONGEST_PARAM = 6_000
LONGEST_TAG = 8_000


def safe(key: str) -> str:
    """The nearest name that MLflow takes; too long ones end in a digest, so that they stay different."""
    parts = (re.sub(r" *[^\w. -]+ *", "_", part).strip("_. ") for part in key.split("/"))
    key = "/".join(filter(None, parts)) or "unnamed"
    return key if len(key) <= LONGEST_KEY else f"{key[: LONGEST_KEY - 9]}-{_digest(key)}"


def flat(plain: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested tables as dotted keys and texts, each within MLflow's limits."""
    found: dict[str, str] = {}
    for key, value in plain.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{key}.")
        else:
            text = json.dumps(value) if isinstance(value, list | tuple) else str(value)
            found[safe(f"{prefix}{key}")] = _cut(text, LONGEST_PARAM)
    return found


def tag_texts(tags: Mapping[str, object]) -> dict[str, str]:
    """The same for tags."""
    return {safe(key): _cut(str(value), LONGEST_TAG) for key, value in tags.items()}


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def epoch_points(metrics: EpochMetrics | GanMetrics) -> tuple[Point, ...]:
    """Every number of the epoch that there is."""
    family = "fit" if isinstance(metrics, EpochMetrics) else "gan"
    values = {each.name: getattr(metrics, each.name) for each in fields(metrics) if each.name not in ("epoch", "best")}
    if isinstance(metrics, EpochMetrics):
        values["train_over_valid"] = metrics.train_over_valid
    known = {key: value for key, value in values.items() if value is not None}
    return tuple(Point(key=f"{family}/{key}", value=value, step=metrics.epoch) for key, value in known.items())


Ball = tuple[str, float]
"""Norm and eps."""


def report_points(report: RobustnessReport, *, suffix: str = "", ball: Ball | None = None) -> tuple[Point, ...]:
    """Every number of the report; `suffix` tells a later evaluation's curves from the first one's."""
    told = headline_threat(report, ball)
    found = () if told is None else _scalars("robust", told.worst)
    # The headline has the interval of the accuracy already, under the same name.
    worst = (point for point in found if not point.key.startswith("interval/robust_accuracy"))
    return (*_scalars("clean", report.clean), *worst, *_threats(report), *_curves(report, suffix), *_checks(report))


def headline_points(report: RobustnessReport, ball: Ball | None = None) -> tuple[Point, ...]:
    """What one looks at first."""
    told = headline_threat(report, ball)
    plain: dict[str, float | None] = {
        "f1": report.clean.f1_macro,
        "auc": report.clean.auc,
        "seconds": sum(score.seconds for threat in report.threats for score in threat.attacks),
        "verdict": None if report.verdict is None else VERDICTS.index(report.verdict),
    }
    shares: dict[str, Share | Audited] = {"accuracy": report.clean.accuracy}
    if told is not None:
        plain |= {"eps": told.eps, "robust_f1": told.worst.f1_macro, "robust_auc": told.worst.auc}
        shares["robust_accuracy"] = told.audit or told.robust
        if proof := report.proof(told.norm, told.eps):
            shares["certified_accuracy"] = proof.proven
    found = [Point(key=key, value=value) for key, value in plain.items() if value is not None]
    points = (*found, *(point for key, share in shares.items() for point in _with_interval(key, share)))
    # MLflow's tables show every digit there is.
    return tuple(replace(point, value=float(f"{point.value:.4g}")) for point in points)


def headline_threat(report: RobustnessReport, ball: Ball | None) -> ThreatScore | None:
    """The score in this ball, else in the largest finite one."""
    finite = [threat for threat in report.threats if math.isfinite(threat.eps)]
    return next((threat for threat in finite if (threat.norm, threat.eps) == ball), finite[-1] if finite else None)


def strength(report: RobustnessReport, ball: Ball | None) -> list[float]:
    """How far an evaluation went, to be compared part by part: ensembles, examples, and what it brought down."""
    told = headline_threat(report, ball)
    if told is None:
        return []
    if any("AutoAttack" in score.attack for score in told.attacks):
        ensembles = 1.0
    elif any("Swift" in score.attack for score in told.attacks):
        ensembles = 0.75 if told.audit else 0.5
    else:
        ensembles = 0.25 if told.audit else 0.0
    return [ensembles, float(report.count), -(told.robust.value or 0.0)]


def report_tags(report: RobustnessReport) -> dict[str, str]:
    """The verdict, the checks that are no pass, and what was judged; sentences are for the description."""
    tags = {"evaluated.data": report.data, "evaluated.fingerprint": report.fingerprint}
    tags |= {f"check.{each.check}": each.verdict for each in report.findings if each.speaks_up}
    return tags | {"verdict": report.verdict or "unchecked"}


def label(norm: str, eps: float) -> str:
    """`8` for linf 8/255, `0.2` where it is written so (although it is 51/255 too), `l2_0.5` for the other norms."""
    # Not above: the uploading process, which names no ball, need not wait for torch.
    from robustcnn.core.norms import fraction

    return fraction(eps).removesuffix("/255") if norm == "linf" else f"{norm}_{eps:g}"


def step_of(norm: str, eps: float) -> int:
    """Where eps stands on a curve's axis."""
    step = round(eps * (255 if norm == "linf" else 1_000))
    # Step 0 is the clean accuracy's.
    return max(step, 1) if eps else 0


def _scalars(prefix: str, metrics: Metrics) -> Iterator[Point]:
    for each in fields(metrics):
        value = getattr(metrics, each.name)
        if isinstance(value, Share):
            yield from _with_interval(f"{prefix}/{each.name}", value)
        elif isinstance(value, float | int):
            yield Point(key=f"{prefix}/{each.name}", value=value)


def _with_interval(key: str, share: Share | Audited) -> Iterator[Point]:
    if share.value is not None:
        yield Point(key=key, value=share.value)
        for end, value in (("low", share.low), ("high", share.high)):
            yield Point(key=f"interval/{key.replace('/', '_')}_{end}", value=value)


def _threats(report: RobustnessReport) -> Iterator[Point]:
    for threat in report.threats:
        name = label(threat.norm, threat.eps)
        yield from _with_interval(f"robust/linf_{name}" if threat.norm == "linf" else f"robust/{name}", threat.robust)
        if threat.audit:
            where = f"linf_{name}" if threat.norm == "linf" else name
            yield from _with_interval(f"audited/{where}", threat.audit)
            yield Point(key=f"audited/broken_{where}", value=threat.audit.share)
    for proof in report.proofs:
        where = f"linf_{label(proof.norm, proof.eps)}" if proof.norm == "linf" else label(proof.norm, proof.eps)
        yield from _with_interval(f"certified/{where}", proof.proven)
        yield Point(key=f"certified/undecided_{where}", value=proof.undecided / proof.proven.count)
    for smallest in report.smallest:
        if smallest.median is not None:
            yield Point(key=f"robust/median_smallest_{smallest.norm}", value=smallest.median)


def _curves(report: RobustnessReport, suffix: str) -> Iterator[Point]:
    for norm in dict.fromkeys(threat.norm for threat in report.threats):
        yield from _of(f"curve/worst_{norm}{suffix}", report.clean.accuracy)
        yield Point(key=f"eps/{norm}{suffix}", value=0.0)
    for threat in report.threats:
        if 0 < threat.eps < math.inf:
            yield from _at_eps(threat, suffix)
    for proof in report.proofs:
        if 0 < proof.eps < math.inf:
            key, step = f"curve/certified_{proof.norm}{suffix}", step_of(proof.norm, proof.eps)
            yield from _of(key, report.clean.accuracy)
            yield from _of(key, proof.proven, step)
    for corruption in report.corruptions:
        for severity, accuracy in enumerate(corruption.accuracy, start=1):
            yield from _of(safe(f"corruption/{corruption.corruption}") + suffix, accuracy, severity)
    for each in report.transfer:
        yield from _of(safe(f"transfer/{each.source} to {each.target}") + suffix, each.accuracy)


def _at_eps(threat: ThreatScore, suffix: str) -> Iterator[Point]:
    step = step_of(threat.norm, threat.eps)
    yield from _of(f"curve/worst_{threat.norm}{suffix}", threat.robust, step)
    yield Point(key=f"eps/{threat.norm}{suffix}", value=threat.eps, step=step)
    for score in threat.attacks:
        key = safe(f"curve/{score.attack.lower()}") + f"_{threat.norm}{suffix}"
        yield from _of(key, score.metrics.accuracy, step)


def _of(key: str, share: Share, step: int = 0) -> Iterator[Point]:
    if share.value is not None:
        yield Point(key=key, value=share.value, step=step)


def _checks(report: RobustnessReport) -> Iterator[Point]:
    for each in report.findings:
        if each.tested:
            yield Point(key=safe(f"check/{each.check}"), value=VERDICTS.index(each.verdict))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
