"""Plain drawings for whoever measures something of their own: lines, bars and histograms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, PercentFormatter

from robustcnn.report.plots.canvas import COLOURS, GREY, grid, legend_above, page, styled

Points = Sequence[tuple[float, float]]
"""(across, up), in order."""


@styled
def lines(
    series: Mapping[str, Points], *, across: str, up: str, log: str = "", percent: bool = False, title: str = ""
) -> Figure:
    """A line a name; `log` names the axes that are logarithmic, such as `x` or `xy`."""
    figure, axes = page(5.6, 4.0)
    for (name, points), colour in zip(series.items(), cycle(COLOURS), strict=False):
        axes.plot(*zip(*points, strict=True), color=colour, marker="." if len(points) <= 40 else "", label=name)
    axes.set(xlabel=across, ylabel=up, title=title)
    for axis, name in ((axes.xaxis, "x"), (axes.yaxis, "y")):
        if name in log:
            _logarithmic(axes, axis, name)
    if percent:
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    if len(series) > 1:
        legend_above(figure, axes)
    return figure


@styled
def bars(groups: Mapping[str, Mapping[str, float]], *, along: str, percent: bool = True) -> Figure:
    """A row a group, in it a bar a name; all groups have the same names."""
    names = list(next(iter(groups.values())))
    figure, axes = page(6.0, 1.2 + (0.2 + 0.18 * len(names)) * len(groups))
    height = 0.8 / len(names)
    for index, (name, colour) in enumerate(zip(names, cycle(COLOURS), strict=False)):
        rows = [row + (index - (len(names) - 1) / 2) * height for row in range(len(groups))]
        axes.barh(rows, [each[name] for each in groups.values()], height=height, color=colour, label=name)
    axes.set_yticks(range(len(groups)), list(groups))
    axes.invert_yaxis()
    axes.set_xlabel(along)
    axes.grid(axis="y", visible=False)
    if percent:
        axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    if len(names) > 1:
        legend_above(figure, axes)
    return figure


@styled
def histograms(values: Mapping[str, Sequence[float]], *, along: str, reach: float, bins: int = 60) -> Figure:
    """A pane a name, all over the same range of -reach to reach; counts are logarithmic, so that rare ones show."""
    figure, panes = grid(3.2 * len(values), 2.8, rows=1, columns=len(values))
    for pane, (name, each) in zip(panes[0], values.items(), strict=True):
        inside = [min(max(value, -reach), reach) for value in each]
        pane.hist(inside, bins=bins, range=(-reach, reach), color=COLOURS[0])
        pane.axvline(0, color=GREY, lw=1, ls=":")
        pane.set(title=name, xlabel=along)
        _logarithmic(pane, pane.yaxis, "y")
    panes[0][0].set_ylabel("how many")
    return figure


def _logarithmic(axes: Axes, axis: Axis, name: str) -> None:
    """With plain numbers: matplotlib's powers are formulas, which our style leaves as they are written."""
    (axes.set_xscale if name == "x" else axes.set_yscale)("log")
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if name == "y" else (1,)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())
