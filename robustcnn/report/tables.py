"""Which figures are put side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from robustcnn.core.audited import Audited
from robustcnn.core.norms import NORMS, fraction
from robustcnn.core.proof import Proof
from robustcnn.core.queries import Queries
from robustcnn.core.results import UNDEFINED, VERDICTS, AttackScore, Metrics, Share, ThreatScore
from robustcnn.evaluate.corruption import mean_accuracy
from robustcnn.report.entry import Ball, Entry, headline_first, say_ball, say_robust, telling_ball
from robustcnn.report.table import Cell, Table

ABSENT = Cell(text="–")
"""Not measured, which is another thing than undefined."""


def comparison(entries: Sequence[Entry]) -> Table:
    """The headline figures, a column a model."""
    where = headline_first(entries)
    rows = [
        ("test examples", [_count(entry.accuracy.count if entry.accuracy else None) for entry in entries]),
        ("clean accuracy", [_share(entry.accuracy) for entry in entries]),
    ]
    for ball in where:
        scores = [entry.at(ball) for entry in entries]
        shares = [_robust(score) for score in scores]
        rows.append((f"robust accuracy, {say_ball(ball)}", shares))
        both = [entry.report.proof(*ball) if entry.report else None for entry in entries]
        rows.append((f"proven robust, {say_ball(ball)}", [_share(each.proven if each else None) for each in both]))
        rows.append((f"undecided, {say_ball(ball)}", [_count(each.undecided if each else None) for each in both]))
    rows += _means("clean", [entry.report.clean if entry.report else None for entry in entries])
    if telling := telling_ball(entries):
        scores = [entry.at(telling) for entry in entries]
        rows += _means(say_ball(telling), [score.worst if score else None for score in scores])
    for norm in dict.fromkeys(norm for norm, _ in where):
        rows.append((f"median smallest eps, {norm}", [_median(entry, norm) for entry in entries]))
    means = [mean_accuracy(entry.report.corruptions) if entry.report else None for entry in entries]
    rows.append(("accuracy under corruptions, mean", [ABSENT if each is None else _mean(each) for each in means]))
    rows += [
        ("seconds to attack", [_seconds(score.seconds for score in _attacks(entry)) for entry in entries]),
        ("seconds to train", [_seconds(epoch.seconds for epoch in entry.history) for entry in entries]),
    ]
    return Table(
        labels=("measure",),
        across="model",
        columns=tuple(entry.name for entry in entries),
        rows=tuple(((label,), tuple(cells)) for label, cells in rows if any(cell != ABSENT for cell in cells)),
    )


def overview(entries: Sequence[Entry]) -> Table:
    """A row a model, narrow enough for a terminal: accuracies in per cent with their intervals, and the verdict."""
    where = headline_first(entries)
    return Table(
        labels=("model",),
        across="measure",
        columns=("clean, %", *(f"{say_ball(ball)}, %" for ball in where), "checks"),
        rows=tuple(((entry.name,), _overview(entry, where)) for entry in entries),
    )


def _overview(entry: Entry, where: Sequence[Ball]) -> tuple[Cell, ...]:
    robust = [score.audit or score.robust if (score := entry.at(ball)) else None for ball in where]
    verdict = entry.report.verdict if entry.report else None
    return (*map(_brief, [entry.accuracy, *robust]), Cell(text=verdict or ABSENT.text))


def _brief(share: Share | Audited | None) -> Cell:
    if share is None or share.value is None:
        return ABSENT
    text = f"{100 * share.value:.0f} [{100 * share.low:.0f}, {100 * share.high:.0f}]"
    return Cell(text=text, value=share.value, low=share.low, high=share.high)


def by_attack(entries: Iterable[Entry]) -> Table:
    """Every attack in every ball, judged by itself."""
    scores = [
        ((entry.name, say_ball((threat.norm, threat.eps)), score.attack), score)
        for entry in entries
        for threat in entry.threats
        for score in threat.attacks
    ]
    norms = list(dict.fromkeys(norm for _, score in scores for norm in score.distances))
    return Table(
        labels=("model", "threat", "attack"),
        across="measure",
        columns=(
            "accuracy",
            "broken first by it",
            "still fooled as bytes",
            *(f"median {norm}" for norm in norms),
            "seconds",
        ),
        rows=tuple((labels, _attack(score, norms)) for labels, score in scores),
    )


STEPS = (10, 100, 1_000, 10_000)
"""Queries an example, in the table of what a black box withstands."""


def by_queries(entries: Iterable[Entry]) -> Table:
    """What attacks on black boxes cost, and what so many queries an example leave."""
    rows = [
        ((entry.name, say_ball((threat.norm, threat.eps)), score.attack), score.queries)
        for entry in entries
        for threat in entry.threats
        for score in threat.attacks
        if score.queries is not None
    ]
    return Table(
        labels=("model", "threat", "attack"),
        across="measure",
        columns=(
            "median queries of a success",
            *(f"robust accuracy after {count:,}" for count in STEPS),
            "queries in all",
        ),
        rows=tuple((labels, _queries(score)) for labels, score in rows),
    )


def _queries(score: Queries) -> tuple[Cell, ...]:
    median = ABSENT if score.median is None else Cell(text=f"{score.median:,.0f}", value=score.median)
    return (median, *(_mean(score.left_after(count)) for count in STEPS), _count(score.total))


def proofs(entry: Entry) -> Table:
    """Both sides of every ball, and class by class what is proven."""
    report = entry.report
    found = report.proofs if report else ()
    classes = [each.name for each in report.clean.classes] if report else []
    return Table(
        labels=("threat",),
        across="measure",
        columns=("proven", "broken", "undecided", "by", "seconds", "audited", "contradicted", *classes),
        rows=tuple(((say_ball((each.norm, each.eps)),), _proof(each)) for each in found),
    )


def _proof(proof: Proof) -> tuple[Cell, ...]:
    return (
        _share(proof.proven),
        *map(_count, (proof.broken, proof.undecided)),
        Cell(text=proof.method),
        _seconds([proof.seconds]),
        *map(_count, (proof.audited, proof.contradicted)),
        *map(_share, proof.classes),
    )


def findings(entry: Entry) -> Table:
    """What the checks of the evaluation brought, the worst first."""
    found = entry.report.findings if entry.report else ()
    return Table(
        labels=("check",),
        across="measure",
        columns=("verdict", "figure", "what was seen", "pictures shown", "seconds", "explained in"),
        rows=tuple(
            (
                (each.check,),
                (
                    Cell(text=each.verdict),
                    _figure(each.figure),
                    Cell(text=each.says),
                    _count(each.passes),
                    _seconds([each.seconds]),
                    Cell(text=f"docs/trust.md#{each.check.replace(' ', '-')}"),
                ),
            )
            for each in sorted(found, key=lambda each: -VERDICTS.index(each.verdict) if each.tested else 1)
        ),
    )


def _means(where: str, metrics: Sequence[Metrics | None]) -> list[tuple[str, list[Cell]]]:
    shown: dict[str, Callable[[Metrics], float | None]] = {
        "F1, mean over classes": lambda each: each.f1_macro,
        "AUC": lambda each: each.auc,
    }
    return [
        (f"{name}, {where}", [ABSENT if each is None else _mean(value(each)) for each in metrics])
        for name, value in shown.items()
    ]


def _attack(score: AttackScore, norms: Sequence[str]) -> tuple[Cell, ...]:
    return (
        _share(score.metrics.accuracy),
        _count(score.first),
        _share(score.kept_as_bytes),
        *(_length(norm, score.distances[norm]) if norm in score.distances else ABSENT for norm in norms),
        _seconds([score.seconds]),
    )


def _attacks(entry: Entry) -> list[AttackScore]:
    return [score for threat in entry.threats for score in threat.attacks]


def _median(entry: Entry, norm: str) -> Cell:
    smallest = [each for each in entry.report.smallest if each.norm == norm] if entry.report else []
    if not smallest:
        return ABSENT
    if smallest[0].median is not None:
        return _length(norm, smallest[0].median)
    largest = max((threat.eps for threat in entry.threats if threat.norm == norm), default=0.0)
    return Cell(text=f"> {fraction(largest)}", low=largest)


def _robust(score: ThreatScore | None) -> Cell:
    if score is None:
        return ABSENT
    found = score.audit or score.robust
    return Cell(text=say_robust(score), value=found.value, low=found.low, high=found.high)


def _share(share: Share | None) -> Cell:
    return ABSENT if share is None else Cell(text=str(share), value=share.value, low=share.low, high=share.high)


def _mean(value: float | None) -> Cell:
    return Cell(text=UNDEFINED) if value is None else Cell(text=f"{value:.3f}", value=value)


def _figure(value: float | None) -> Cell:
    return ABSENT if value is None else Cell(text=f"{value:.3g}", value=value)


def _count(count: int | None) -> Cell:
    return ABSENT if count is None else Cell(text=f"{count:,}", value=count)


def _length(norm: str, length: float) -> Cell:
    """In grey levels where the norm is counted in them, also between two of them, unless it is a round number."""
    plain = not NORMS[norm].grey_levels or float(f"{length:.3g}") == length
    return Cell(text=f"{length:.3g}" if plain else f"{255 * length:.3g}/255", value=length)


def _seconds(parts: Iterable[float]) -> Cell:
    total = sum(parts)
    return Cell(text=f"{total:,.1f}", value=total) if total else ABSENT
