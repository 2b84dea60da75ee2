"""Files that are whole or not there."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import sys
from pathlib import Path

SUFFIX = ".partial"
FULL = (errno.ENOSPC, errno.EDQUOT)


def write_atomically(path: Path, content: bytes) -> None:
    """The file has either its old bytes or all of the new ones, also when the power goes."""
    partial = path.with_name(f"{path.name}.{os.getpid()}-{secrets.token_hex(4)}{SUFFIX}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as problem:
        _forget(partial)
        raise explained(problem, path, len(content)) from problem
    except BaseException:
        _forget(partial)
        raise
    sync_folder(path.parent)


def is_plain_name(name: str) -> bool:
    """Whether this is the name of a file or folder, and of nothing outside the one that it is to lie in."""
    return bool(name.strip()) and name not in (".", "..") and not any(c in "/\\" or not c.isprintable() for c in name)


def sync_folder(folder: Path) -> None:
    """Have the names in the folder outlive a power cut too, where the system knows how."""
    if sys.platform == "win32":
        return
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def explained(problem: OSError, path: Path, size: int) -> OSError:
    """The same trouble, with the file that could not be written, and how much room it needs where there is none."""
    what = problem.strerror or str(problem)
    if problem.errno in FULL:
        with contextlib.suppress(OSError):
            what += f": {size:,} bytes are needed, {shutil.disk_usage(_existing(path)).free:,} are free"
    return type(problem)(problem.errno or errno.EIO, what, str(path))


def remove_partials(folder: Path) -> None:
    """Remove what processes that are no more have left half written."""
    for partial in folder.glob(f"*{SUFFIX}"):
        pid = partial.name.removesuffix(SUFFIX).rpartition(".")[2].partition("-")[0]
        if pid.isdecimal() and not _runs(int(pid)):
            _forget(partial)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def _forget(partial: Path) -> None:
    with contextlib.suppress(OSError):
        partial.unlink()


def _existing(path: Path) -> Path:
    return next(parent for parent in path.absolute().parents if parent.exists())
