"""Where data sets lie, and what is said when one is not there."""

from __future__ import annotations

import os
import shlex
from pathlib import Path


def data_root(given: Path | None = None) -> Path:
    """The folder of all data sets: the one given, else ROBUSTCNN_DATA, else ~/.cache/robustcnn."""
    return Path(given or os.environ.get("ROBUSTCNN_DATA") or "~/.cache/robustcnn").expanduser()


def download_command(name: str, root: Path) -> str:
    """What to type to get the set into this root."""
    where = "" if root == data_root() else f" --data.root {shlex.quote(str(root))}"
    return f"`robustcnn data --data.name {name}{where} --data.download`"


def find(path: Path, root: Path) -> Path:
    """A path as the user typed it: from the working directory, else from the data root."""
    path = path.expanduser()
    if path.exists():
        return path
    if (root / path).exists():
        return root / path
    where = "" if path.is_absolute() else f" (looked in {Path.cwd()} and {root})"
    raise absent(path, f"check the spelling, or point --data.root at the folder that holds it{where}")


def absent(path: Path, cure: str) -> FileNotFoundError:
    return FileNotFoundError(f"{path} is absent; {cure}")
