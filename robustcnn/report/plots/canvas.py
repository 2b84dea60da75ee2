"""What all pictures share: looks, sizes, legends. Nothing here touches pyplot's global state."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, ParamSpec

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from robustcnn.core.results import Share

CLEAN, ATTACKED, GREY, INK = "#0072B2", "#D55E00", "#6b7280", "#374151"
COLOURS = (CLEAN, "#E69F00", "#009E73", "#CC79A7", "#56B4E9", ATTACKED, "#000000")
"""Okabe & Ito's palette, which the colour-blind can tell apart too."""

STYLE = {
    "axes.axisbelow": True,
    "axes.edgecolor": "#9ca3af",
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "figure.constrained_layout.use": True,
    "figure.facecolor": "white",
    "font.size": 11,
    "grid.color": "#e5e7eb",
    "legend.fontsize": 10,
    "legend.frameon": False,
    "lines.linewidth": 2,
    "lines.markersize": 5,
    # A class may be called "$5": names are no formulas.
    "text.parse_math": False,
    "text.usetex": False,
    "xtick.color": INK,
    "ytick.color": INK,
}
"""matplotlib's settings."""

SIDES = (("clean", CLEAN), ("attacked", ATTACKED))
P = ParamSpec("P")


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Draw in our style, whatever the caller's is; the caller's is back afterwards."""

    @wraps(draw)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with matplotlib.rc_context(STYLE):
            return draw(*args, **kwargs)

    return wrapped


def png(figure: Figure, *, dpi: int = 110) -> bytes:
    """The figure as a file's content; the same figure gives the same bytes."""
    file = io.BytesIO()
    with matplotlib.rc_context(STYLE):
        figure.savefig(file, format="png", dpi=dpi, metadata={"Software": None})
    return file.getvalue()


def page(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure of so many inches, and its one pane."""
    figure, ((axes,),) = grid(width, height, rows=1, columns=1)
    return figure, axes


def grid(width: float, height: float, *, rows: int, columns: int) -> tuple[Figure, Any]:
    """A figure and its array of panes, (rows, columns)."""
    figure = Figure(figsize=(width, height))
    return figure, figure.subplots(rows, columns, squeeze=False)


def legend_above(figure: Figure, axes: Axes) -> None:
    """Where no line can run through it."""
    handles, names = axes.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper left", ncols=2 if max(map(len, names), default=0) <= 22 else 1)


def values(shares: Sequence[Share]) -> list[float]:
    return [value(share) for share in shares]


def value(share: Share) -> float:
    return math.nan if share.value is None else share.value


def short(name: str, most: int = 16) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"
