"""Records that MLflow will never take: set aside in the run's folder, so that those behind them go on."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from robustcnn.core.plain_data import to_plain
from robustcnn.tracking.records import Record

REFUSED = "tracking.refused.jsonl"
BY_STATUS = (400, 413, 422)
"""What a server answers to what it was told, whoever tells it and whenever."""


def is_refusal(problem: BaseException) -> bool:
    """Whether the same record would be refused again, as it is not the store's trouble of the moment."""
    status = getattr(problem, "get_http_status_code", None)
    if callable(status):
        return status() in BY_STATUS
    return isinstance(problem, (ValueError, TypeError, OverflowError))


def set_aside(folder: Path, record: Record, problem: BaseException) -> None:
    """Keep the record with the reason, beside the spool, which keeps it too."""
    why = " ".join(str(problem).split())
    line = {"why": why, "record": {key: value for key, value in to_plain(record).items() if value}}
    with (folder / REFUSED).open("a") as file:
        file.write(json.dumps(line) + "\n")
    print(f"set aside what {record.what} said, which MLflow refuses: {why}", file=sys.stderr)  # noqa: T201


def refused(folder: Path) -> Sequence[str]:
    """What was set aside, a line each."""
    path = folder / REFUSED
    return path.read_text(errors="replace").splitlines() if path.is_file() else ()
