"""A report as files: a page to look at, Markdown, CSV, and figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from robustcnn.core.atomic_files import write_atomically
from robustcnn.report.entry import Entry
from robustcnn.report.html import write_html
from robustcnn.report.tables import by_attack, by_queries, comparison

PAGES = ("report.html", "report.md", "report.csv")


def write_pages(folder: Path, entries: Sequence[Entry]) -> None:
    """The report as a page to look at, as Markdown and as CSV."""
    tables = [table for table in (comparison(entries), by_attack(entries), by_queries(entries)) if table.rows]
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


def page(folder: Path) -> str:
    """Where a browser finds the report."""
    return f"report: {(folder / PAGES[0]).resolve().as_uri()}"
