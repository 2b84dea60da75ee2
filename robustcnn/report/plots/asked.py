"""What queries bought an attack that can only ask."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter, StrMethodFormatter

from robustcnn.core.queries import Queries
from robustcnn.report.plots.canvas import COLOURS, legend_above, page, styled


@styled
def query_curves(costs: Mapping[str, Queries]) -> Figure:
    """Robust accuracy after so many queries an example: a step down at each success, the dot the median success."""
    figure, axes = page(5.4, 3.9)
    most = max([10.0, *(count for each in costs.values() for count, _ in each.curve)])
    for (name, each), colour in zip(costs.items(), cycle(COLOURS), strict=False):
        counts, left = zip(*each.curve, (most, each.curve[-1][1]), strict=True)
        axes.step(counts, left, where="post", color=colour, label=name)
        if each.median is not None:
            axes.plot(each.median, each.left_after(int(each.median)), "o", color=colour)
    # Linear as far as 1, for the curve begins at none.
    axes.set_xscale("symlog", linthresh=1)
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.set(xlim=(0, most), ylim=(0, 1.02), xlabel="queries an example", ylabel="robust accuracy")
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    legend_above(figure, axes)
    return figure
