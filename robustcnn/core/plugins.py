"""Packages of others that add networks, data sets or attacks: imported when a name is asked for that nobody knows yet.

A package names its module under an entry point `robustcnn.models`, `robustcnn.data` or `robustcnn.attacks`; a module
that is not installed is named in ROBUSTCNN_PLUGINS (several with commas between). What it does is call `register`.
"""

from __future__ import annotations

import os
import sys
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Literal

Group = Literal["models", "data", "attacks"]
VARIABLE = "ROBUSTCNN_PLUGINS"


def load_plugins(group: Group) -> None:
    """Import what was promised for this group, once."""
    for entry in entry_points(group=f"robustcnn.{group}"):
        try:
            entry.load()
        except Exception as problem:  # of any kind: it is not our code
            raise ValueError(f"the plug-in {entry.value} cannot be loaded: {problem} (uninstall or mend it)") from None
    for module in filter(None, (each.strip() for each in os.environ.get(VARIABLE, "").split(","))):
        _imported(module)


@cache
def _imported(module: str) -> None:
    sys.path.insert(0, "")
    try:
        import_module(module)
    except ImportError as problem:
        raise ValueError(f"{VARIABLE} names {module!r}, which cannot be imported: {problem}") from None
    finally:
        sys.path.remove("")
