"""Runs side by side: one table and one page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from robustcnn.core.folders import RUNS
from robustcnn.report.pages import page, write_pages
from robustcnn.report.tables import comparison
from robustcnn.runs.evaluations import entry_of, latest


@dataclass(frozen=True, kw_only=True, slots=True)
class CompareVerb:
    """Options of `robustcnn compare`."""

    runs: Path = RUNS
    """Folder that holds the runs, one folder each."""
    out: Path = Path("mlruns/comparison")
    """Folder for report.html, report.md and report.csv."""


def compare(names: Sequence[str], options: CompareVerb) -> str:
    """Write the pages; gives the table and where they are."""
    entries = [entry_of(options.runs / name, latest(options.runs / name)) for name in names]
    write_pages(options.out, entries)
    return f"{comparison(entries).text()}\n\n{page(options.out)}"
