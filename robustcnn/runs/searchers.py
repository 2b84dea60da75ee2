"""Which processes search in a study, and which trials have lost theirs."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from robustcnn.core.ownership import Taken, owned

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

SEARCHER = "searcher"
"""The attribute of a trial that names its process."""
YOUNG = timedelta(minutes=1)
"""A trial that nobody has put a name to is as old before it counts as lost."""


@contextmanager
def searching(folder: Path) -> Iterator[str]:
    """A name for this process, which holds as long as it lives and no longer."""
    name = f"{platform.node()}-{os.getpid()}-{datetime.now():%H%M%S%f}"
    try:
        with owned(folder / name):
            yield name
    finally:
        shutil.rmtree(folder / name, ignore_errors=True)


def is_lost(trial: FrozenTrial, folder: Path) -> bool:
    """Whether the process of a running trial has died; of one on another machine nobody here can say so."""
    name = trial.user_attrs.get(SEARCHER)
    if not name:
        return trial.datetime_start is None or datetime.now() - trial.datetime_start > YOUNG
    if not (folder / name).is_dir():
        return bool(name.startswith(f"{platform.node()}-"))
    try:
        with owned(folder / name):
            return True
    except Taken:
        return False
