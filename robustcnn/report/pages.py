"""A report as files: a page to look at, Markdown, CSV, and figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from robustcnn.core.atomic_files import write_atomically
from robustcnn.report.entry import Entry
from robustcnn.report.html import page as html_page
from robustcnn.report.tables import by_attack, by_queries, comparison

PAGES = ("report.html", "report.md", "report.csv")
FIGURES = "figures"
"""Folder of the pictures."""


def write_pages(folder: Path, entries: Sequence[Entry]) -> None:
    """The report as a page to look at, as Markdown and as CSV."""
    for name, content in _pages(entries).items():
        write_atomically(folder / name, content)


def files_of(entry: Entry, *, figures: bool) -> dict[str, bytes]:
    """The pages about one model by name and, where wanted, what is best looked at, each as a picture of its own."""
    return _pages([entry]) | (_figures(entry) if figures else {})


def _pages(entries: Sequence[Entry]) -> dict[str, bytes]:
    tables = [table for table in (comparison(entries), by_attack(entries), by_queries(entries)) if table.rows]
    html, markdown, csv = PAGES
    return {
        html: html_page(entries).encode(),
        markdown: "\n\n".join(table.markdown() for table in tables).encode(),
        csv: "\n".join(table.csv() for table in tables).encode(),
    }


def _figures(entry: Entry) -> dict[str, bytes]:
    from robustcnn.report import plots

    report = entry.report
    drawn = {"loss": plots.loss_curve(entry.history)} if entry.history else {}
    if report is not None:
        drawn |= {f"curve-{norm}": plots.robustness_curves({entry.name: report}, norm) for norm in report.norms}
        drawn["confusion"] = plots.confusion(report.clean, report.threats[-1].worst)
    if entry.gallery is not None:
        drawn["gallery"] = plots.gallery(entry.gallery)
    return {f"{FIGURES}/{name}.png": plots.png(figure) for name, figure in drawn.items()}


def page(folder: Path) -> str:
    """Where a browser finds the report."""
    return f"report: {(folder / PAGES[0]).resolve().as_uri()}"
