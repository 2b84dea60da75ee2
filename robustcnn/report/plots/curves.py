"""Lines over eps and over epochs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import cycle

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, PercentFormatter

from robustcnn.core.norms import NORMS
from robustcnn.core.proof import TwoSided
from robustcnn.core.results import EpochMetrics, RobustnessReport, Smallest, ThreatScore
from robustcnn.report.plots.canvas import ATTACKED, CLEAN, COLOURS, GREY, legend_above, page, styled, value, values


@styled
def robustness_curves(reports: Mapping[str, RobustnessReport], norm: str) -> Figure:
    """Accuracy against eps: each model's worst case in its band; of a single model each attack too."""
    figure, axes = page(5.4, 3.9)
    unit = _eps_axis(axes, norm)
    for (name, report), colour in zip(reports.items(), cycle(COLOURS), strict=False):
        threats = [each for each in report.threats if each.norm == norm and math.isfinite(each.eps)]
        eps = [0.0, *(threat.eps * unit for threat in threats)]
        robust = [report.clean.accuracy, *(threat.robust for threat in threats)]
        low, high = [share.low for share in robust], [share.high for share in robust]
        axes.fill_between(eps, low, high, color=colour, alpha=0.15, lw=0)
        axes.plot(eps, values(robust), color=colour, marker="o", label=name if len(reports) > 1 else "worst case")
        axes.plot(0, value(report.clean.accuracy), "o", color="white", markeredgecolor=colour, markeredgewidth=2)
        _audits(axes, unit, threats, colour)
        _proven_line(axes, unit, report, threats, colour)
        if len(reports) == 1:
            _attack_lines(axes, unit, threats)
    axes.set(ylabel="accuracy", ylim=(0, 1.02))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    legend_above(figure, axes)
    return figure


def _audits(axes: Axes, unit: float, threats: Sequence[ThreatScore], colour: str) -> None:
    """AutoAttack's answer as far as an audit knows it."""
    for threat in threats:
        if (audit := threat.audit) is not None:
            reach = [[audit.value - audit.low], [audit.high - audit.value]]
            axes.errorbar([threat.eps * unit], [audit.value], reach, fmt="D", color=colour, ms=5, capsize=4, zorder=5)


def _proven_line(
    axes: Axes, unit: float, report: RobustnessReport, threats: Sequence[ThreatScore], colour: str
) -> None:
    """What is proven, and between it and the worst case the band of what nobody knows."""
    both = [(each, proof) for each in threats if (proof := report.proof(each.norm, each.eps))]
    if not both:
        return
    eps = [0.0, *(each.eps * unit for each, _ in both)]
    proven = values([report.clean.accuracy, *(proof.proven for _, proof in both)])
    robust = values([report.clean.accuracy, *(each.robust for each, _ in both)])
    axes.fill_between(eps, proven, robust, facecolor="none", edgecolor=colour, alpha=0.5, hatch="///", lw=0)
    axes.plot(eps, proven, color=colour, ls=":", marker="^", label="proven")


@styled
def two_sided_radii(found: TwoSided) -> Figure:
    """Examples by the largest eps at which they are proven, and by the smallest that broke them."""
    figure, axes = page(5.4, 3.9)
    unit = _eps_axis(axes, found.norm)
    broken = [eps for eps in found.broken if eps is not None]
    edges = [found.eps * unit * step / 16 for step in range(17)]
    axes.hist([eps * unit for eps in found.proven], edges, color=CLEAN, alpha=0.6, label="proven up to")
    axes.hist([eps * unit for eps in broken], edges, color=ATTACKED, alpha=0.6, label="broken from")
    axes.set(ylabel=f"of {len(found.proven)} examples not proven at the last eps")
    legend_above(figure, axes)
    return figure


def _attack_lines(axes: Axes, unit: float, threats: Sequence[ThreatScore]) -> None:
    lines: dict[str, list[tuple[float, float]]] = {}
    for threat in threats:
        for score in threat.attacks:
            lines.setdefault(score.attack, []).append((threat.eps * unit, value(score.metrics.accuracy)))
    for (attack, points), colour in zip(lines.items(), cycle(COLOURS[1:]), strict=False):
        axes.plot(*zip(*points, strict=True), "--", color=colour, lw=1.2, marker=".", label=attack)


@styled
def smallest_eps(smallest: Mapping[str, Smallest]) -> Figure:
    """The share of examples that fall at or before each eps, and the median, a line a model; all of one norm."""
    figure, axes = page(5.4, 3.9)
    unit = _eps_axis(axes, next(iter(smallest.values())).norm)
    broken = {name: sorted(eps * unit for eps in each.eps if eps is not None) for name, each in smallest.items()}
    most = max((eps for fallen in broken.values() for eps in fallen), default=1.0)
    for (name, each), colour in zip(smallest.items(), cycle(COLOURS), strict=False):
        fallen = broken[name]
        shares = [count / len(each.eps) for count in range(len(fallen) + 1)]
        axes.step([0, *fallen, most], [*shares, shares[-1]], where="post", color=colour, label=name)
        if each.median is not None:
            axes.plot(each.median * unit, 0.5, "D", color=colour, markeredgecolor="white", markersize=8)
    axes.axhline(0.5, color=GREY, lw=1, ls=":")
    axes.set(ylabel="share of examples broken", ylim=(0, 1.02))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    legend_above(figure, axes)
    return figure


def _eps_axis(axes: Axes, norm: str) -> float:
    """Label the axis; gives what one unit of eps is on it."""
    in_grey_levels = NORMS[norm].grey_levels
    axes.set_xlabel("eps (1/255)" if in_grey_levels else f"eps ({norm})")
    return 255.0 if in_grey_levels else 1.0


@styled
def loss_curve(history: Sequence[EpochMetrics]) -> Figure:
    """Training and validation loss by epoch, and the epoch whose weights are the best."""
    figure, axes = page(5.2, 3.6)
    epochs = [each.epoch for each in history]
    axes.plot(epochs, [each.train_loss for each in history], color=CLEAN, marker=".", label="training")
    axes.plot(epochs, [each.valid_loss for each in history], color=ATTACKED, marker=".", label="validation")
    for best in [each.epoch for each in history if each.best][-1:]:
        axes.axvline(best, color=GREY, lw=1, ls="--", label=f"best: epoch {best}")
    axes.set(xlabel="epoch", ylabel="loss", yscale="log")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("")
    axes.legend()
    return figure
