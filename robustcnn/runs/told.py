"""What MLflow is told of a run besides its numbers: pictures, tables, a description, a headline."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from robustcnn.core.atomic_files import write_atomically
from robustcnn.core.results import EpochMetrics, RobustnessReport, Scores
from robustcnn.report.entry import Entry
from robustcnn.report.pages import FIGURES, PAGES
from robustcnn.runs.evaluations import REPORT
from robustcnn.tracking import Tracker
from robustcnn.tracking.note import evaluated_note, trained_note
from robustcnn.tracking.origin import command

SHOWN = {"loss": "loss curve", "curve-linf": "robustness curve", "gallery": "attacked examples"}
"""Figures that are to be compared between runs, and what MLflow's image grid calls them."""


def tell_training(tracker: Tracker, folder: Path, history: Sequence[EpochMetrics], scores: Scores) -> None:
    """The loss curve and a first description."""
    from robustcnn.report import plots

    path = folder / FIGURES / "loss.png"
    write_atomically(path, plots.png(plots.loss_curve(history)))
    _show(tracker, folder, [path], step=len(history))
    tracker.note(
        trained_note(accuracy=scores.accuracy, name=folder.name, command=command(), figures=_names(folder, [path]))
    )


def tell_evaluation(
    tracker: Tracker, run: Path, evaluation: Path, entry: Entry, figures: Sequence[Path], worst: Path
) -> None:
    """The report with its pages, figures, worst examples and the run's description."""
    report = _reported(entry)
    tracker.report(report, ball=report.headline)
    for path in [*(evaluation / name for name in (REPORT, *PAGES)), *figures]:
        place = path.relative_to(run)
        tracker.artifact(place, under=place.parent.as_posix())
    _show(tracker, run, figures, step=report.count)
    tracker.table(worst.relative_to(run))
    telling = [path for name in ("curve-linf", "gallery", "loss") for path in figures if path.stem == name]
    tracker.note(evaluated_note(report, command=command(), figures=_names(run, telling)))


def _reported(entry: Entry) -> RobustnessReport:
    if entry.report is None:
        raise ValueError(f"{entry.name} was not evaluated: there is nothing to tell")
    return entry.report


def _show(tracker: Tracker, folder: Path, figures: Sequence[Path], *, step: int) -> None:
    for path in figures:
        if path.stem in SHOWN:
            tracker.picture(path.relative_to(folder), SHOWN[path.stem], step=step)
        if path.parent == folder / FIGURES:
            tracker.artifact(path.relative_to(folder), under=FIGURES)


def _names(folder: Path, figures: Sequence[Path]) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in figures]
