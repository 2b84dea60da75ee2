"""The uploading process: `python -m robustcnn.tracking FOLDER` uploads the spool there until its input ends."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import traceback
from pathlib import Path

from robustcnn.tracking.mlflow_tracker import note_trouble, sync
from robustcnn.tracking.records import Record
from robustcnn.tracking.spool import Spool

SHORTEST, LONGEST = 1.0, 60.0
"""Seconds between two attempts, doubled after each that failed."""


def main(folder: Path) -> None:
    """Look for something new every second, and once more when the run has ended."""
    with contextlib.suppress(AttributeError, OSError):
        os.nice(10)
    ended = threading.Event()
    threading.Thread(target=_wait_for_the_end, args=(ended,), daemon=True).start()
    pause = attempt(folder, SHORTEST)
    while not ended.wait(pause):
        pause = attempt(folder, pause)
    _say_killed(Spool(folder))
    attempt(folder, pause)


def attempt(folder: Path, pause: float) -> float:
    """Upload what is new; gives the seconds to wait before the next attempt."""
    try:
        sync(folder)
    except Exception as problem:
        traceback.print_exc()
        note_trouble(folder, str(problem) or type(problem).__name__)
        return min(2 * pause, LONGEST)
    return SHORTEST


def _wait_for_the_end(ended: threading.Event) -> None:
    sys.stdin.buffer.read()
    ended.set()


def _say_killed(spool: Spool) -> None:
    """A run that could not say goodbye was killed."""
    last = [record for record, _ in spool.read()][-1]
    if last.what != "close":
        spool.append(Record(what="close", status="KILLED"))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
    # All is on disk, and the run waits: taking the interpreter down in good order would take two seconds more.
    sys.stderr.flush()
    os._exit(0)
