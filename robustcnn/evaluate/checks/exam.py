"""What the checklist is asked, how one check is made, and what is kept of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from torch import Tensor, nn

from robustcnn.core.results import Finding
from robustcnn.core.runtime import Precision, first_line, out_of_memory, seeded
from robustcnn.core.threat import ThreatModel
from robustcnn.data import ResidentDataset
from robustcnn.data.resident import as_pixels
from robustcnn.evaluate.checks.bench import Ledger, finding
from robustcnn.evaluate.checks.meter import Meter
from robustcnn.evaluate.standings import Evidence
from robustcnn.fast.plain_view import plain_view

COUNT = 200
"""Examples that are looked at, unless told otherwise."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Exam:
    """What the checklist is asked, the model and the data apart."""

    threat: ThreatModel
    rows: Tensor
    """Examples that are looked at."""
    seed: int
    precision: Precision
    evidence: Evidence | None
    """About these rows."""
    surrogate: nn.Module | None = None


def exam_of(
    data: ResidentDataset,
    threat: ThreatModel,
    *,
    count: int = COUNT,
    seed: int,
    precision: Precision,
    evidence: Evidence | None = None,
    surrogate: nn.Module | None = None,
) -> Exam:
    """Refuses what cannot be asked."""
    _refuse(data, threat, count, evidence)
    rows = data.rows(min(count, len(data)), generator=seeded(seed))
    return Exam(
        threat=threat,
        rows=rows,
        seed=seed,
        precision=precision,
        evidence=None if evidence is None else evidence.subset(rows.cpu()),
        surrogate=None if surrogate is None else plain_view(surrogate),
    )


def _refuse(data: ResidentDataset, threat: ThreatModel, count: int, evidence: Evidence | None) -> None:
    if not len(data):
        raise ValueError(f"{data.name} holds no examples to check with")
    if not 0 < threat.eps < math.inf:
        raise ValueError(f"threat must have a finite eps above 0, got {threat}")
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    if evidence is not None and (evidence.threat != threat or len(evidence.labels) != len(data)):
        raise ValueError(
            f"evidence must be about {threat} and all {len(data)} examples, got {evidence.threat} and "
            f"{len(evidence.labels)}"
        )


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """A check that was made."""

    finding: Finding
    ledger: Ledger = field(default_factory=Ledger)
    """What it broke beyond the white box."""

    @property
    def line(self) -> str:
        return f"{self.finding.verdict}  {self.finding.check}: {self.finding.says}"


def metered(check: str, work: Callable[[], Finding], meter: Meter) -> Finding:
    """A finding with what it cost."""
    with meter:
        found = carefully(check, work)
    return replace(found, passes=meter.passes, seconds=meter.seconds)


def carefully(check: str, work: Callable[[], Finding]) -> Finding:
    """A check that the model makes impossible is a finding too, and no pass."""
    try:
        return work()
    except Exception as problem:  # of any kind: it is the model's
        if out_of_memory(problem):
            raise
        return finding(
            check.replace("_", " "),
            f"the model stopped it: {first_line(problem)}",
            figure=None,
            trouble="fail",
            cure="a model that fails under attack has not been measured; let it take any batch of pictures in [0, 1]",
        )


def pixels(data: ResidentDataset) -> ResidentDataset:
    """The same as floats."""
    return replace(data, images=as_pixels(data.images))
