"""Shares as shades."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from robustcnn.core.results import CorruptionScore, Metrics, TransferScore
from robustcnn.report.plots.canvas import INK, SIDES, grid, page, short, styled, value, values


@styled
def confusion(clean: Metrics, attacked: Metrics) -> Figure:
    """True classes in rows, predicted ones in columns; the shade is the share of the row, the number a count."""
    names = [short(each.name) for each in clean.classes]
    side = min(max(0.42 * len(names), 2.4), 8)
    figure, ((first, second),) = grid(2 * side + 1.6, side + 1.3, rows=1, columns=2)
    for pane, metrics, (title, _) in zip((first, second), (clean, attacked), SIDES, strict=True):
        counts = np.array(metrics.confusion)
        numbers = np.where(counts > 0, counts.astype(str), "") if len(names) <= 20 else None
        shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
        _cells(pane, shares, numbers, names if pane is first else [], names)
        pane.set(xlabel="predicted", title=f"{title}: {metrics.accuracy}")
    first.set_ylabel("true")
    return figure


@styled
def corruptions(scores: Sequence[CorruptionScore]) -> Figure:
    """Accuracy in per cent, a row a corruption, a column a severity."""
    shares = np.array([values(each.accuracy) for each in scores])
    severities = [str(column + 1) for column in range(shares.shape[1])]
    figure, axes = _accuracies(shares, [each.corruption for each in scores], severities)
    axes.set_xlabel("severity")
    return figure


@styled
def transfer(scores: Sequence[TransferScore]) -> Figure:
    """Accuracy in per cent of each model (columns) on examples that were made on another (rows)."""
    sources = list(dict.fromkeys(each.source for each in scores))
    targets = list(dict.fromkeys(each.target for each in scores))
    shares = np.full((len(sources), len(targets)), math.nan)
    for each in scores:
        shares[sources.index(each.source), targets.index(each.target)] = value(each.accuracy)
    figure, axes = _accuracies(shares, sources, targets)
    axes.set(xlabel="judged on", ylabel="made on")
    return figure


def _accuracies(shares: Any, rows: Sequence[str], columns: Sequence[str]) -> tuple[Figure, Axes]:
    figure, axes = page(2.2 + (0.75 if len(columns) > 4 else 1.1) * len(columns), 1.4 + 0.5 * len(rows))
    numbers = [[f"{100 * share:.0f}" for share in row] for row in shares]
    _heat_map(
        axes, shares, numbers, *([textwrap.fill(short(name, 40), 14) for name in each] for each in (rows, columns))
    )
    axes.tick_params(labelrotation=0)
    axes.set_title("accuracy, %")
    return figure, axes


def _cells(axes: Axes, shares: Any, numbers: Any, rows: Sequence[str], columns: Sequence[str]) -> None:
    """Darker is more, with thin white lines between few cells."""
    few = len(columns) <= 20
    axes.pcolormesh(shares, cmap="Blues", vmin=0, vmax=1, edgecolors="white" if few else "none", linewidth=0.5)
    axes.invert_yaxis()
    axes.set_aspect("auto")
    for (row, column), number in np.ndenumerate(np.empty((0, 0)) if numbers is None else numbers):
        colour = "white" if shares[row, column] > 0.5 else INK
        axes.text(column + 0.5, row + 0.5, number, ha="center", va="center", size=9, color=colour)
    places = np.arange(len(columns)) + 0.5
    axes.set_xticks(places, columns, rotation=90 if max(map(len, columns), default=0) > 2 else 0)
    axes.set_yticks(places if rows else [], rows)
    axes.tick_params(length=0, labelsize=9)
    axes.grid(False)
    axes.spines[:].set_visible(False)


def _heat_map(axes: Axes, shares: Any, numbers: Any, rows: Sequence[str], columns: Sequence[str]) -> None:
    """Darker is more; cells that are not a number stay empty."""
    import seaborn  # a second, because it brings pandas along, which most reports do without

    seaborn.heatmap(
        shares,
        annot=numbers,
        fmt="",
        annot_kws={"size": 9},
        cmap="Blues",
        vmin=0,
        vmax=1,
        cbar=False,
        linewidths=0.5,
        xticklabels=columns,
        yticklabels=rows,
        ax=axes,
    )
    axes.tick_params(length=0)
