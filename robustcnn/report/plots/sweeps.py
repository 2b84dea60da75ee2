"""A hyper-parameter search: every training as one line through its settings, and what two objectives trade."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from robustcnn.core.results import is_better
from robustcnn.report.plots.canvas import CLEAN, GREY, styled


@styled
def sweep(params: Mapping[str, Sequence[float | str]], values: Mapping[str, Sequence[float]]) -> Figure:
    """Parallel coordinates, coloured by the first objective; with a second one, the Pareto front beside them."""
    figure = Figure(figsize=(2.2 * (len(params) + len(values)) + (4 if len(values) > 1 else 0), 4))
    axes = figure.subplots(1, len(values), squeeze=False, width_ratios=[2, 1][: len(values)])[0]
    _parallel(axes[0], {**params, **values}, next(iter(values.values())))
    if len(values) > 1:
        _front(axes[1], *values.items())
    return figure


def _parallel(axes: Axes, columns: Mapping[str, Sequence[float | str]], colour: Sequence[float]) -> None:
    heights = [_heights(column) for column in columns.values()]
    shades = _heights(colour)
    for row in sorted(range(len(colour)), key=lambda each: shades[each]):
        line = [height[row] for height in heights]
        axes.plot(range(len(line)), line, color=colormaps["viridis"](shades[row]), alpha=0.8, linewidth=1.5)
    axes.set_xticks(range(len(columns)), columns, rotation=15, ha="right")
    axes.set_yticks([0, 1], ["least", "greatest"])
    for place, column in enumerate(columns.values()):
        for value, height in sorted(zip(column, _heights(column), strict=True), key=lambda pair: pair[1])[
            :: max(len(column) - 1, 1)
        ]:
            axes.annotate(
                _shown(value), (place, height), fontsize=8, color=GREY, xytext=(3, 3), textcoords="offset points"
            )


def _front(axes: Axes, first: tuple[str, Sequence[float]], second: tuple[str, Sequence[float]]) -> None:
    points = list(zip(first[1], second[1], strict=True))
    names = first[0], second[0]
    best = sorted(point for point in points if not any(_dominates(other, point, names) for other in points))
    axes.plot(*zip(*points, strict=True), color=GREY, marker=".", linestyle="none")
    axes.plot(*zip(*best, strict=True), color=CLEAN, marker="o")
    axes.set_xlabel(first[0])
    axes.set_ylabel(second[0])


def _dominates(other: tuple[float, float], point: tuple[float, float], names: tuple[str, str]) -> bool:
    """Better in one, and no worse in the other."""
    sides = list(zip(names, other, point, strict=True))
    worse = any(is_better(name, theirs, ours) for name, ours, theirs in sides)
    return not worse and any(is_better(name, ours, theirs) for name, ours, theirs in sides)


def _heights(column: Sequence[float | str]) -> list[float]:
    """Between 0 and 1: numbers by size, words in the order of the alphabet, what spans decades by its logarithm."""
    words = sorted(set(map(str, column)))
    numbers = [float(value) for value in column if not isinstance(value, str)]
    if len(numbers) < len(column):
        return [words.index(str(value)) / max(len(words) - 1, 1) for value in column]
    low, high = min(numbers), max(numbers)
    if low == high:
        return [0.5] * len(numbers)
    if low > 0 and high / low > 20:
        return [math.log(value / low) / math.log(high / low) for value in numbers]
    return [(value - low) / (high - low) for value in numbers]


def _shown(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.3g}"
