"""One process at a time works on a folder; when it dies, however it dies, the folder is free again."""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from robustcnn.core.atomic_files import explained, remove_partials

LOCK, OWNER = "owner.lock", "owner.txt"


class Taken(ValueError):
    """Somebody else is at work there."""


@contextmanager
def owned(folder: Path) -> Iterator[None]:
    """Nobody else owns the folder inside the block; the second to come is refused at once."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK)
        lock.acquire(timeout=0)
    except Timeout:
        raise Taken(
            f"{folder} is being worked on{_by_whom(folder)}: wait for that to end, or choose another name"
        ) from None
    except OSError as problem:
        raise explained(problem, folder / LOCK, 0) from problem
    try:
        remove_partials(folder)
        with contextlib.suppress(OSError):
            (folder / OWNER).write_text(_myself())
        yield
    finally:
        with contextlib.suppress(OSError):
            (folder / OWNER).unlink()
        lock.release()


def _myself() -> str:
    return f"process {os.getpid()} on {platform.node()} since {datetime.now():%Y-%m-%d %H:%M:%S}"


def _by_whom(folder: Path) -> str:
    with contextlib.suppress(OSError, UnicodeDecodeError):
        return f" by {(folder / OWNER).read_text()[:200]}"
    return ""
