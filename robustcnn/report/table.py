"""A table as a value: aligned text, Markdown and CSV are three renderings of it."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One field: what is read, and the number behind it where there is one."""

    text: str
    value: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """Rows that begin with labels; each further column is one measure, or one model."""

    labels: tuple[str, ...]
    """Heads of the label columns."""
    across: str
    """What the further columns are."""
    columns: tuple[str, ...]
    rows: tuple[tuple[tuple[str, ...], tuple[Cell, ...]], ...]
    """(labels, cells) each."""

    @property
    def lines(self) -> list[tuple[str, ...]]:
        """Heads and rows as text."""
        return [
            (*self.labels, *self.columns),
            *((*labels, *(cell.text for cell in cells)) for labels, cells in self.rows),
        ]

    @property
    def numeric(self) -> list[bool]:
        """Which columns, labels included, hold numbers."""
        columns = range(len(self.columns))
        return [False] * len(self.labels) + [any(cells[i].value is not None for _, cells in self.rows) for i in columns]

    def text(self) -> str:
        """Columns aligned for a terminal."""
        lines = self.lines
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        lines.insert(1, tuple("-" * width for width in widths))
        return "\n".join(
            "  ".join(
                field.rjust(width) if right else field.ljust(width)
                for field, width, right in zip(line, widths, self.numeric, strict=True)
            ).rstrip()
            for line in lines
        )

    def markdown(self) -> str:
        """A pipe table."""
        head, *rows = [[field.replace("\\", "\\\\").replace("|", "\\|") for field in line] for line in self.lines]
        rule = ["--:" if right else "---" for right in self.numeric]
        return "\n".join(f"| {' | '.join(line)} |" for line in [head, rule, *rows])

    def csv(self) -> str:
        """A line a cell: its number and interval unrounded, and the text for what is no number."""
        file = io.StringIO()
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*self.labels, self.across, "value", "low", "high", "text"])
        for labels, cells in self.rows:
            for column, cell in zip(self.columns, cells, strict=True):
                writer.writerow([*labels, column, cell.value, cell.low, cell.high, cell.text])
        return file.getvalue()
