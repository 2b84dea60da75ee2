"""Write docs/picture.png: robustness curves of three trainings, and three digits clean, attacked and their difference.

    python docs/picture.py FOLDER_OF_RUNS plain regularised adversarial

takes the latest run of each name; `make picture` trains and evaluates them by `robustcnn demo` first.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from robustcnn.report.entry import Entry
from robustcnn.report.gallery import Gallery
from robustcnn.report.plots.canvas import ATTACKED, CLEAN, COLOURS, STYLE
from robustcnn.runs.evaluations import entry_of, latest

EXAMPLES = 3


def draw(entries: list[Entry]) -> Figure:
    """Curves on the left, pictures of the first entry on the right."""
    figure = Figure(figsize=(10, 3.7), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(1.2, 1))
    axes = left.subplots()
    for entry, colour in zip(entries, COLOURS, strict=False):
        report = entry.report
        if report is None:
            raise ValueError(f"{entry.name} was not evaluated (robustcnn evaluate {entry.name} --suite quick)")
        shares = [report.clean.accuracy, *(threat.robust for threat in report.threats)]
        eps = [0.0, *(threat.eps for threat in report.threats)]
        axes.fill_between(
            eps, [each.low for each in shares], [each.high for each in shares], color=colour, alpha=0.15, lw=0
        )
        axes.plot(eps, [each.value for each in shares], "o-", color=colour, label=entry.name)
    axes.set(xlabel="eps: how far any pixel may move, of 1", ylabel="robust accuracy", ylim=(0, 1.02))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.legend()
    if entries[0].gallery is not None:
        pictures(right, entries[0].gallery)
    return figure


def pictures(figure: object, gallery: Gallery) -> None:
    """A row an example: clean, difference, attacked, with the model's answers."""
    panes = figure.subplots(EXAMPLES, 3)  # type: ignore[attr-defined]
    changes = (0.5 + gallery.amplification * (gallery.adversarial - gallery.clean)).clamp(0, 1)
    for column, (head, images) in enumerate(
        {
            "clean": gallery.clean,
            f"difference × {gallery.amplification:g}": changes,
            f"attacked, {gallery.threat}": gallery.adversarial,
        }.items()
    ):
        panes[0, column].set_title(head, loc="center", fontsize=10)
        for pane, image in zip(panes[:, column], images, strict=False):
            pane.imshow(image.permute(1, 2, 0).squeeze(2).numpy(), cmap="gray", vmin=0, vmax=1)
            pane.set(xticks=[], yticks=[])
    for row, truth, before, after in zip(panes, gallery.truth, gallery.before, gallery.after, strict=False):
        for pane, (answer, confidence) in ((row[0], before), (row[2], after)):
            pane.set_xlabel(f"“{answer}” {confidence:.0%}", color=CLEAN if answer == truth else ATTACKED, fontsize=9)


def main(runs: Path, kinds: list[str]) -> None:
    """The newest run of each kind."""
    folders = [max(runs.glob(f"*{kind}*"), key=lambda folder: folder.stat().st_mtime) for kind in kinds]
    found = [entry_of(folder, latest(folder)) for folder in folders]
    entries = [
        Entry(name=kind, report=each.report, gallery=each.gallery) for kind, each in zip(kinds, found, strict=True)
    ]
    path = Path(__file__).with_name("picture.png")
    with matplotlib.rc_context(STYLE):
        draw(entries).savefig(path, dpi=110, metadata={"Software": None})
    print(f"{path}: {path.stat().st_size / 1000:.0f} KB")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
