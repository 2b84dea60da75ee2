"""Runs side by side: one table and one page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from robustcnn.core.folders import RUNS
from robustcnn.core.labels import labels
from robustcnn.report.pages import page, write_pages
from robustcnn.report.tables import overview
from robustcnn.runs.evaluations import strongest
from robustcnn.runs.folder import Say
from robustcnn.runs.paired import paired


@dataclass(frozen=True, kw_only=True, slots=True)
class CompareVerb:
    """Options of `robustcnn compare`."""

    runs: Path = RUNS
    """Folder that holds the runs, one folder each."""
    out: Path = Path("mlruns/comparison")
    """Folder for report.html, report.md and report.csv."""
    paired: bool = False
    """Say of every two which is more robust on the same examples (McNemar); attacked until that is sure."""


def compare(names: Sequence[str], options: CompareVerb, *, say: Say = lambda _: None) -> str:
    """Write the pages; gives a table that fits a terminal, who beats whom if that is asked, and where they are."""
    found = [strongest(options.runs / name) for name in names]
    called = labels([entry.name for entry in found])
    entries = [replace(entry, name=label) for entry, label in zip(found, called, strict=True)]
    write_pages(options.out, entries)
    beaten = [each.says for each in paired(names, options.runs, say=say)] if options.paired else []
    return "\n\n".join([overview(entries).text(), *beaten, page(options.out)])
