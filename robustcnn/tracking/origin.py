"""Who started a run, and by which command: what MLflow shows as a run's user and source."""

from __future__ import annotations

import contextlib
import getpass
import shlex
import sys
from pathlib import Path

USER, SOURCE, KIND, COMMIT = "mlflow.user", "mlflow.source.name", "mlflow.source.type", "mlflow.source.git.commit"


def origin() -> dict[str, str]:
    """As MLflow's own tags."""
    tags = {SOURCE: command(), KIND: "LOCAL"}
    # A container may have a user without a name.
    with contextlib.suppress(KeyError, OSError):
        tags[USER] = getpass.getuser()
    return tags


def command() -> str:
    """What was typed: `robustcnn train digits-quick`, or the script or notebook that asked."""
    if "ipykernel" in sys.modules:
        return "notebook"
    program, *rest = sys.argv or [""]
    path = Path(program)
    name = path.parent.name if path.name == "__main__.py" else path.name
    return shlex.join([name or "python", *rest])
