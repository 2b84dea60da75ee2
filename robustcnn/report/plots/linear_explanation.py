"""Straight lines through a network: logits and errors along the sign of the gradient (Goodfellow et al. 2015)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from torch import Tensor

from robustcnn.report.plots.canvas import COLOURS, GREY, legend_above, page, short, styled

BEHIND = 40
"""Grey lines, of the classes that no eps makes likely."""


@styled
def logits_along(logits: Tensor, eps: Sequence[float], classes: Sequence[str], label: int) -> Figure:
    """Logits (E, K) of one picture against eps: the attacked class thick, the classes that win somewhere coloured."""
    figure, axes = page(6.2, 4.4)
    steps = [255 * each for each in eps]
    winners = [index for index in logits.argmax(1).unique_consecutive().tolist() if index != label]
    named = [label, *dict.fromkeys(winners)][: len(COLOURS)]
    rest = [index for index in logits.amax(0).argsort(descending=True).tolist() if index not in named][:BEHIND]
    for index in rest:
        axes.plot(steps, logits[:, index].tolist(), color=GREY, lw=0.5, alpha=0.35)
    for index, colour in zip(named, COLOURS, strict=False):
        width = 3 if index == label else 1.6
        axes.plot(steps, logits[:, index].tolist(), color=colour, lw=width, label=short(classes[index], 22))
    axes.axvline(0, color=GREY, lw=1, ls=":")
    axes.set(xlabel="eps (1/255) along the sign of the gradient", ylabel="logit", xlim=(steps[0], steps[-1]))
    legend_above(figure, axes)
    return figure


@styled
def error_along(errors: Mapping[str, Sequence[float]], eps: Sequence[float]) -> Figure:
    """Error against eps, a line a model."""
    figure, axes = page(5.4, 3.9)
    for (name, shares), colour in zip(errors.items(), COLOURS, strict=False):
        axes.plot([255 * each for each in eps], shares, color=colour, marker=".", label=name)
    _as_shares(axes)
    axes.set_xlabel("eps (1/255) along the sign of the gradient")
    legend_above(figure, axes)
    return figure


def _as_shares(axes: Axes) -> None:
    axes.set(ylabel="error", ylim=(0, 1.02))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
