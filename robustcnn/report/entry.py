"""What is shown of one model, and the ball in which models are compared."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from robustcnn.core.norms import NormName
from robustcnn.core.results import EpochMetrics, RobustnessReport, Scores, Share, ThreatScore
from robustcnn.core.threat import ThreatModel
from robustcnn.report.gallery import Gallery


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One model in a report: whatever is known of it."""

    name: str
    """Tells it from the other entries."""
    report: RobustnessReport | None = None
    history: tuple[EpochMetrics, ...] = ()
    scores: Scores | None = None
    """On the test data; for a model that was only trained."""
    gallery: Gallery | None = None
    config: tuple[str, ...] = ()
    """Lines that say how the model was made, shown as they are."""

    @property
    def accuracy(self) -> Share | None:
        """On clean test data."""
        if self.report is not None:
            return self.report.clean.accuracy
        if self.scores is None:
            return None
        return Share.of(round(self.scores.accuracy * self.scores.count), self.scores.count)

    def at(self, ball: tuple[str, float] | None) -> ThreatScore | None:
        """What happened in that ball."""
        return next((each for each in self.threats if (each.norm, each.eps) == ball), None)

    @property
    def threats(self) -> tuple[ThreatScore, ...]:
        return () if self.report is None else self.report.threats


Ball = tuple[NormName, float]
"""Norm and eps."""


def say_ball(ball: Ball) -> str:
    """`linf 8/255`."""
    return str(ThreatModel(norm=ball[0], eps=ball[1]))


def say_robust(score: ThreatScore) -> str:
    """Robust accuracy as it is read: the audited figure where there is one."""
    escalated = " (AutoAttack took over)" if score.escalated else ""
    return str(score.audit) if score.audit else f"{score.robust}{escalated}"


def balls(entries: Iterable[Entry]) -> list[Ball]:
    """All in which any entry was attacked: norms as they come, eps growing."""
    found = dict.fromkeys((threat.norm, threat.eps) for entry in entries for threat in entry.threats)
    norms = list(dict.fromkeys(norm for norm, _ in found))
    return sorted(found, key=lambda ball: (norms.index(ball[0]), ball[1]))


def headline(entries: Sequence[Entry]) -> Ball | None:
    """The ball of the figure that is shown first: most reports' own, if all were attacked in it."""
    attacked = [entry for entry in entries if entry.report and entry.threats]
    named = Counter(entry.report.headline for entry in attacked if entry.report)
    shared = [ball for ball, _ in named.most_common() if all(entry.at(ball) for entry in attacked)]
    return next((ball for ball in balls(entries) if ball in shared[:1]), None)


def headline_first(entries: Sequence[Entry]) -> list[Ball]:
    """All balls in the order in which they are read."""
    first = headline(entries)
    return sorted(balls(entries), key=lambda ball: ball != first)


def telling_ball(entries: Iterable[Entry]) -> Ball | None:
    """The ball to look into: shared by as many as can be, and where about half of what was right still stands.

    In a much smaller one hardly anything happens, in a much larger one nothing is left to see.
    """
    attacked = [entry for entry in entries if entry.threats]

    def rank(ball: Ball) -> tuple[int, float]:
        found = [(entry.accuracy, score.robust) for entry in attacked if (score := entry.at(ball))]
        kept = [robust.hits / clean.hits for clean, robust in found if clean and clean.hits]
        return -len(found), abs(sum(kept) / len(kept) - 0.5) if kept else 0.5

    return min((ball for ball in balls(attacked) if math.isfinite(ball[1])), key=rank, default=None)
