"""What ways of training do to clean and to robust accuracy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean, stdev

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from robustcnn.report.plots.canvas import CLEAN, GREY, grid, legend_above, styled

REDS = ("#fdbb84", "#fc8d59", "#e34a33", "#b30000", "#67000d")
"""The darker, the larger the eps."""


@styled
def training_effects(accuracies: Mapping[str, Mapping[float, Sequence[float]]]) -> Figure:
    """A row a way: its accuracy at each eps (0 is clean), a value a seed, as mean and standard deviation."""
    if not accuracies:
        raise ValueError("accuracies must hold at least one way of training, got none")
    rows = range(len(accuracies))
    figure, ((axes,),) = grid(6.4, 1.3 + 0.36 * len(accuracies), rows=1, columns=1)
    radii = list(next(iter(accuracies.values())))
    means = [[mean(way[eps]) for eps in radii] for way in accuracies.values()]
    axes.hlines(rows, [min(row) for row in means], [max(row) for row in means], color=GREY, lw=1, zorder=1)
    for column, (eps, colour) in enumerate(zip(radii, _colours(len(radii)), strict=True)):
        scatter = [stdev(way[eps]) if len(way[eps]) > 1 else 0.0 for way in accuracies.values()]
        name = f"eps {eps:g}" if eps else "clean"
        options = {"fmt": "o", "ms": 7, "lw": 1.5, "color": colour, "label": name}
        axes.errorbar([row[column] for row in means], rows, xerr=scatter, **options)
    axes.set_yticks(rows, list(accuracies))
    axes.invert_yaxis()
    axes.set(xlabel="accuracy", xlim=(-0.02, 1.02))
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    legend_above(figure, axes)
    return figure


def _colours(count: int) -> list[str]:
    if count > len(REDS) + 1:
        raise ValueError(f"accuracies may hold at most {len(REDS)} eps besides 0, got {count - 1}")
    return [CLEAN, *REDS[len(REDS) - count + 1 :]]
