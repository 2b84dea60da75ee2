"""What things are called in MLflow, whose names must not hold @ = ( ) or a comma and whose steps are whole numbers.

fit/valid_accuracy ...            step = epoch
gan/generator_loss ...            the same of a pre-training
clean/f1_macro ...                every scalar of the report on untouched images
attacked/linf_8/f1_macro ...      the same on the worst of all attacks, eps 8/255
curve/worst_linf                  robust accuracy; step = eps in 1/255 for linf, in 1/1000 for l2 and l1
curve/pgd_steps_40_linf           the same, this attack alone
corruption/fog                    step = severity
clean_acc, robust_acc_8           one number a run: columns of the compare table
verdict_code, check/NAME          0 pass, 1 warn, 2 fail
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

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


def report_points(report: RobustnessReport, *, suffix: str = "") -> tuple[Point, ...]:
    """Every number of the report; `suffix` tells a later evaluation's curves from the first one's."""
    return (*_scalars("clean", report.clean), *_threats(report), *_curves(report, suffix), *_checks(report))


def report_tags(report: RobustnessReport) -> dict[str, str]:
    """The words of the report: the verdict, each finding, and what was judged how."""
    made = {"model": report.model, "data": report.data, "fingerprint": report.fingerprint, **report.made_by}
    tags = {f"evaluated.{key}": value for key, value in made.items()}
    tags |= {f"verdict.{each.check}": f"{each.verdict}: {each.says}" for each in report.findings}
    return tags | {"verdict": report.verdict or "unchecked"}


def label(norm: str, eps: float) -> str:
    """`8` for linf 8/255, `0.3` where eps is no grey level, `l2_0.5` for the other norms."""
    levels = eps * 255
    if norm != "linf":
        return f"{norm}_{eps:g}"
    return str(round(levels)) if abs(levels - round(levels)) < 1e-6 else f"{eps:g}"


def step_of(norm: str, eps: float) -> int:
    """Where eps stands on a curve's axis."""
    return round(eps * (255 if norm == "linf" else 1_000))


def _scalars(prefix: str, metrics: Metrics) -> Iterator[Point]:
    for each in fields(metrics):
        value = getattr(metrics, each.name)
        if isinstance(value, Share):
            yield from _share(f"{prefix}/{each.name}", value)
        elif isinstance(value, float | int):
            yield Point(key=f"{prefix}/{each.name}", value=value)


def _share(key: str, share: Share) -> Iterator[Point]:
    if share.value is not None:
        for end, value in (("", share.value), ("_low", share.low), ("_high", share.high)):
            yield Point(key=key + end, value=value)


def _threats(report: RobustnessReport) -> Iterator[Point]:
    yield from _of("clean_acc", report.clean.accuracy)
    for threat in report.threats:
        name = label(threat.norm, threat.eps)
        yield from _of(f"robust_acc_{name}", threat.robust)
        yield from _scalars(f"worst/linf_{name}" if threat.norm == "linf" else f"worst/{name}", threat.worst)
    for smallest in report.smallest:
        if smallest.median is not None:
            yield Point(key=f"smallest/{smallest.norm}_median", value=smallest.median)


def _curves(report: RobustnessReport, suffix: str) -> Iterator[Point]:
    for norm in dict.fromkeys(threat.norm for threat in report.threats):
        yield from _of(f"curve/worst_{norm}{suffix}", report.clean.accuracy)
    for threat in report.threats:
        if 0 < threat.eps < math.inf:
            yield from _at_eps(threat, suffix)
    for corruption in report.corruptions:
        for severity, accuracy in enumerate(corruption.accuracy, start=1):
            yield from _of(safe(f"corruption/{corruption.corruption}") + suffix, accuracy, severity)
    for each in report.transfer:
        yield from _of(safe(f"transfer/{each.source} to {each.target}") + suffix, each.accuracy)


def _at_eps(threat: ThreatScore, suffix: str) -> Iterator[Point]:
    step = step_of(threat.norm, threat.eps)
    yield from _of(f"curve/worst_{threat.norm}{suffix}", threat.robust, step)
    for score in threat.attacks:
        key = safe(f"curve/{score.attack.lower()}") + f"_{threat.norm}{suffix}"
        yield from _of(key, score.metrics.accuracy, step)


def _of(key: str, share: Share, step: int = 0) -> Iterator[Point]:
    if share.value is not None:
        yield Point(key=key, value=share.value, step=step)


def _checks(report: RobustnessReport) -> Iterator[Point]:
    if report.verdict is not None:
        yield Point(key="verdict_code", value=VERDICTS.index(report.verdict))
    for each in report.findings:
        yield Point(key=safe(f"verdict/{each.check}"), value=VERDICTS.index(each.verdict))
        if each.figure is not None:
            yield Point(key=safe(f"verdict_figure/{each.check}"), value=each.figure)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
