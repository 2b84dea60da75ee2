"""The picture that made adversarial examples famous: a picture, plus a change nobody sees, is another thing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from torch import Tensor

from robustcnn.evaluate.one_picture import Answer
from robustcnn.report.plots.canvas import ATTACKED, CLEAN, GREY, INK, short, styled

LONGEST = 26


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Equation:
    """What the picture shows."""

    clean: Tensor
    """Pixels (C, H, W), as is `adversarial`."""
    adversarial: Tensor
    before: Sequence[Answer]
    after: Sequence[Answer]
    factor: str
    """The size of the change, as text."""
    change: str
    """What the change is called."""
    survives: dict[str, bool]
    says: str = ""
    """A line below the picture."""


@styled
def equation(shown: Equation) -> Figure:
    """Clean, the change stretched to full contrast, adversarial; below them the answers and what saving leaves."""
    figure = Figure(figsize=(10.4, 5.6), layout=ConstrainedLayoutEngine(rect=(0.01, 0.01, 0.98, 0.97)))
    panes = figure.subplots(2, 5, width_ratios=(3, 0.75, 3, 0.4, 3), height_ratios=(3, 1.45), squeeze=False)
    change = shown.adversarial - shown.clean
    visible = 0.5 + change / (2 * change.abs().max().clamp_min(1e-12))
    for column, image in ((0, shown.clean), (2, visible), (4, shown.adversarial)):
        _picture(panes[0, column], image)
    for column, text in ((1, f"+ {shown.factor} ×"), (3, "=")):
        panes[0, column].text(0.5, 0.5, text, ha="center", va="center", fontsize=15, color=INK)
        panes[0, column].axis("off")
        panes[1, column].axis("off")
    for column, answers, colour in ((0, shown.before, CLEAN), (4, shown.after, _colour(shown))):
        _title(panes[0, column], answers[0].name, f"{answers[0].confidence:.1%}", colour)
        _bars(panes[1, column], answers, colour)
    _title(panes[0, 2], shown.change, f"at most {255 * float(change.abs().max()):.2f}/255 a pixel", INK)
    _left(panes[1, 2], shown.survives)
    if shown.says:
        figure.supxlabel(shown.says, fontsize=9, color=GREY)
    return figure


def _colour(shown: Equation) -> str:
    return ATTACKED if shown.after[0].index != shown.before[0].index else CLEAN


def _picture(axes: Axes, image: Tensor) -> None:
    axes.imshow(image.permute(1, 2, 0).squeeze(2).cpu().numpy(), cmap="gray", vmin=0, vmax=1)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def _title(axes: Axes, first: str, second: str, colour: str) -> None:
    axes.set_title(f"{short(first, LONGEST)}\n{second}", loc="center", fontsize=13, color=colour)


def _bars(axes: Axes, answers: Sequence[Answer], colour: str) -> None:
    """The likeliest first; names stand inside the pane, so that all panes stay aligned."""
    places = range(len(answers))
    axes.barh(places, [answer.confidence for answer in answers], color=colour, alpha=0.35, height=0.86)
    for place, answer in zip(places, answers, strict=True):
        axes.text(0.015, place, short(answer.name, LONGEST), va="center", fontsize=10, color="black")
        axes.text(0.985, place, f"{answer.confidence:.1%}", va="center", ha="right", fontsize=10, color=INK)
    axes.set(xlim=(0, 1), ylim=(len(answers) - 0.5, -0.5), yticks=[], xticks=[])
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)


def _left(axes: Axes, survives: dict[str, bool]) -> None:
    """Which kinds of file keep the effect."""
    axes.axis("off")
    axes.text(0.5, 1.0, "the effect survives being saved as", ha="center", va="top", fontsize=10, color=GREY)
    for row, (name, kept) in enumerate(survives.items()):
        height = 0.72 - 0.24 * row
        axes.text(0.48, height, name, ha="right", va="center", fontsize=11, color=INK)
        axes.text(0.56, height, "yes" if kept else "no", va="center", fontsize=11, color=ATTACKED if kept else CLEAN)
