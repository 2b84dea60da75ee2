"""A pre-training over its epochs."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from robustcnn.report.plots.canvas import ATTACKED, CLEAN, GREY, INK, grid, styled
from robustcnn.train.gan.metrics import GanMetrics


@styled
def gan_curves(history: Sequence[GanMetrics]) -> Figure:
    """Both losses, what the discriminator tells apart, and how the samples stand beside real images."""
    figure, ((losses, found), (diversity, frechet)) = grid(9.6, 6.4, rows=2, columns=2)
    both = (("generator_loss", "generator", ATTACKED), ("discriminator_loss", "discriminator", CLEAN))
    _lines(losses, history, *both, title="loss")
    said = (("accuracy_on_generated", "generated images", ATTACKED), ("accuracy_on_real", "real images", CLEAN))
    _lines(found, history, *said, title="accuracy of the discriminator")
    found.axhline(0.5, color=GREY, lw=1, ls=":")
    found.set_ylim(0, 1.02)
    found.yaxis.set_major_formatter(PercentFormatter(1.0))
    _lines(diversity, history, ("diversity", "", INK), title="diversity of the samples (real images: 1)")
    diversity.axhline(1, color=GREY, lw=1, ls=":")
    _lines(frechet, history, ("frechet", "", INK), title="Fréchet distance from real images")
    return figure


def _lines(axes: Axes, history: Sequence[GanMetrics], *shown: tuple[str, str, str], title: str) -> None:
    epochs = [each.epoch for each in history]
    for name, label, colour in shown:
        axes.plot(epochs, [getattr(each, name) for each in history], color=colour, marker=".", label=label)
    axes.set(xlabel="epoch", title=title)
    axes.set_ylim(bottom=min(0, axes.get_ylim()[0]))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if len(shown) > 1:
        axes.legend()
