"""What a model answers, clean beside attacked."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from robustcnn.core.results import Metrics
from robustcnn.report.plots.canvas import ATTACKED, CLEAN, GREY, INK, SIDES, legend_above, page, short, styled, values


@styled
def roc_curves(clean: Metrics, attacked: Metrics) -> Figure:
    """True against false positive rate: their mean over the classes, and every class as a thin line."""
    figure, axes = page(4.4, 4.8)
    axes.plot([0, 1], [0, 1], ":", color=GREY, lw=1)
    grid = np.linspace(0, 1, 201)
    for metrics, (name, colour) in zip((clean, attacked), SIDES, strict=True):
        curves = [np.array(each.roc).T for each in metrics.classes if each.roc]
        for false, true in curves:
            axes.plot(false, true, color=colour, lw=0.7, alpha=0.35)
        if curves:
            mean = np.mean([np.interp(grid, false, true) for false, true in curves], axis=0)
            label = f"{name}, AUC {metrics.auc:.3f}" if metrics.auc is not None else name
            axes.plot([0, *grid], [0, *mean], color=colour, label=label)
    axes.set(xlabel="false positive rate", ylabel="true positive rate", xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    legend_above(figure, axes)
    return figure


@styled
def reliability(clean: Metrics, attacked: Metrics) -> Figure:
    """Accuracy against confidence; the larger a dot, the more answers, and an honest model keeps to the diagonal."""
    figure, axes = page(4.4, 4.8)
    axes.plot([0, 1], [0, 1], ":", color=GREY, lw=1)
    for metrics, (name, colour) in zip((clean, attacked), SIDES, strict=True):
        bins = [each for each in metrics.reliability if each.confidence is not None]
        total = sum(each.count for each in bins)
        points = [(each.confidence, each.accuracy, 15 + 250 * each.count / total) for each in bins]
        confidence, accuracy, size = zip(*points, strict=True) if points else ((), (), ())
        axes.plot(confidence, accuracy, color=colour, lw=1.2)
        label = f"{name}, mean gap {100 * metrics.calibration_error:.1f} %"
        axes.scatter(confidence, accuracy, size, color=colour, alpha=0.75, label=label)
    axes.set(xlabel="confidence", ylabel="accuracy", xlim=(-0.02, 1.04), ylim=(-0.02, 1.04))
    legend_above(figure, axes)
    return figure


@styled
def per_class(clean: Metrics, attacked: Metrics) -> Figure:
    """Robust accuracy of each class with its interval; the ring is the clean accuracy."""
    figure, axes = page(5.2, 1.3 + 0.28 * len(clean.classes))
    rows = np.arange(len(clean.classes))
    robust = [each.recall for each in attacked.classes]
    heights = np.array(values(robust))
    reach = np.abs([[share.low for share in robust] - heights, [share.high for share in robust] - heights])
    axes.barh(rows, heights, color=ATTACKED, height=0.65, xerr=reach, error_kw={"ecolor": INK, "elinewidth": 1})
    axes.plot(values([each.recall for each in clean.classes]), rows, "o", color="white", markeredgecolor=CLEAN)
    for row, share in enumerate(robust):
        if share.value is None:
            axes.text(0.01, row, str(share), va="center", color=GREY, fontsize=9)
    axes.set_yticks(rows, [short(each.name) for each in clean.classes])
    axes.set(xlabel="accuracy: ring clean, bar attacked", xlim=(0, 1.02), ylim=(len(rows) - 0.4, -0.6))
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    axes.grid(visible=False, axis="y")
    return figure
