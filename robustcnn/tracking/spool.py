"""The spool: all that a run said to its tracker, a line each, in the run's folder. It is the truth; MLflow is a view.

A line is appended in one write and synced to the disk. A process that dies in the middle leaves half a line, which is
no record: readers skip it, and the next line starts afresh. Nothing is ever changed or removed.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path

from robustcnn.core.plain_data import from_plain, to_plain
from robustcnn.tracking.records import Record

SPOOL = "tracking.jsonl"


class Spool:
    """The spool of the run in this folder."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / SPOOL

    @property
    def size(self) -> int:
        """In bytes; 0 when nothing was said yet."""
        return self.path.stat().st_size if self.path.exists() else 0

    def append(self, record: Record) -> None:
        """Keep this record for good; an OSError means that it is not kept."""
        plain = {key: value for key, value in to_plain(record).items() if value}
        line = json.dumps(plain, separators=(",", ":")).encode() + b"\n"
        with self.path.open("a+b", buffering=0) as file:
            if self._torn():
                line = b"\n" + line
            if file.write(line) < len(line):
                raise OSError(errno.ENOSPC, "only a part could be written", str(self.path))
            os.fsync(file.fileno())

    def read(self, start: int = 0) -> Iterator[tuple[Record, int]]:
        """Each whole record from this byte on, and the byte at which the next one starts."""
        if not self.size:
            return
        with self.path.open("rb") as file:
            file.seek(start)
            for line in file:
                start += len(line)
                if line.endswith(b"\n") and (record := _record(line)) is not None:
                    yield record, start

    def names(self, metric: str) -> bool:
        """Whether a value of this metric was ever told."""
        return any(point.key == metric for record, _ in self.read() for point in record.points)

    def _torn(self) -> bool:
        if not self.size:
            return False
        with self.path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1) != b"\n"


def _record(line: bytes) -> Record | None:
    """What the line says, None when it is only a part of one, or of another version."""
    try:
        return from_plain(Record, json.loads(line))
    except (ValueError, TypeError, RecursionError):
        return None
