"""Runs side by side: what is kept of evaluations, and the pages made of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from robustcnn.core.atomic_files import write_atomically
from robustcnn.core.plain_data import from_plain, to_plain
from robustcnn.core.results import EpochMetrics, RobustnessReport, Scores
from robustcnn.models import checkpoint
from robustcnn.report.entry import Entry
from robustcnn.report.gallery import Gallery, read_gallery, write_gallery
from robustcnn.report.html import write_html
from robustcnn.report.tables import by_attack, comparison
from robustcnn.runs.train import RECORD

FOLDER = "evaluations"
"""In a run's folder."""
REPORT, GALLERY = "report.json", "gallery.safetensors"
PAGES = ("report.html", "report.md", "report.csv")


@dataclass(frozen=True, kw_only=True, slots=True)
class CompareVerb:
    """Options of `robustcnn compare`."""

    runs: Path = Path("mlruns/checkpoints")
    """Folder that holds the runs, one folder each."""
    out: Path = Path("mlruns/comparison")
    """Folder for report.html, report.md and report.csv."""


def compare(names: Sequence[str], options: CompareVerb) -> str:
    """Write the pages; gives the table and where they are."""
    entries = [entry_of(options.runs / name, latest(options.runs / name)) for name in names]
    write_pages(options.out, entries)
    return f"{comparison(entries).text()}\n\n{page(options.out)}"


def page(folder: Path) -> str:
    """Where a browser finds the report."""
    return f"report: {(folder / PAGES[0]).resolve().as_uri()}"


def keep(folder: Path, report: RobustnessReport, gallery: Gallery) -> None:
    """An evaluation's outcome on disk."""
    write_atomically(folder / REPORT, json.dumps(to_plain(report), indent=1).encode())
    write_gallery(folder / GALLERY, gallery)


def latest(run: Path) -> Path | None:
    """The folder of a run's last finished evaluation."""
    reports = sorted(run.glob(f"{FOLDER}/*/{REPORT}"), key=lambda path: path.stat().st_mtime)
    return reports[-1].parent if reports else None


def entry_of(run: Path, evaluation: Path | None) -> Entry:
    """All that is on disk about a run: how it was trained, its epochs, and an evaluation if there is one."""
    record = _record(run)
    if not record and evaluation is None:
        raise FileNotFoundError(f"{run} holds neither a run nor an evaluation (robustcnn train makes runs)")
    best = record.get("test", {}).get("best")
    return Entry(
        name=run.resolve().name,
        report=read_report(evaluation) if evaluation else None,
        history=_history(run),
        scores=from_plain(Scores, best) if best else None,
        gallery=read_gallery(evaluation / GALLERY) if evaluation else None,
        config=tuple(json.dumps(record["config"], indent=1).splitlines()) if record else (),
    )


def read_report(evaluation: Path) -> RobustnessReport:
    """A report that was kept, every key checked."""
    path = evaluation / REPORT
    try:
        return from_plain(RobustnessReport, json.loads(path.read_text()))
    except ValueError as problem:
        raise ValueError(f"{path} is not a report: {problem} (evaluate the run again)") from None


def write_pages(folder: Path, entries: Sequence[Entry]) -> None:
    """The report as a page to look at, as Markdown and as CSV."""
    tables = [table for table in (comparison(entries), by_attack(entries)) if table.rows]
    write_html(folder / PAGES[0], entries)
    write_atomically(folder / PAGES[1], "\n\n".join(table.markdown() for table in tables).encode())
    write_atomically(folder / PAGES[2], "\n".join(table.csv() for table in tables).encode())


def write_figures(folder: Path, entry: Entry) -> list[Path]:
    """What is best looked at, each as a picture of its own; gives their paths."""
    from robustcnn.report import plots

    report = entry.report
    drawn = {"loss": plots.loss_curve(entry.history)} if entry.history else {}
    if report is not None:
        drawn |= {f"curve-{norm}": plots.robustness_curves({entry.name: report}, norm) for norm in report.norms}
        drawn["confusion"] = plots.confusion(report.clean, report.threats[-1].worst)
    if entry.gallery is not None:
        drawn["gallery"] = plots.gallery(entry.gallery)
    paths = [folder / f"{name}.png" for name in drawn]
    for path, figure in zip(paths, drawn.values(), strict=True):
        write_atomically(path, plots.png(figure))
    return paths


def _record(run: Path) -> dict[str, dict[str, object]]:
    path = run / RECORD
    record: dict[str, dict[str, object]] = json.loads(path.read_text()) if path.is_file() else {}
    return record


def _history(run: Path) -> tuple[EpochMetrics, ...]:
    return checkpoint.read_page(run).history if (run / checkpoint.PAGE).is_file() else ()
