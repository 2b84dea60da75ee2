"""Where a run is shown, and how much of its spool is there already: `mlflow.json` in the run's folder.

The page may be lost or lag behind without harm: the spool's first record finds the run again, and what is uploaded
a second time adds nothing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from robustcnn.core.atomic_files import write_atomically
from robustcnn.core.plain_data import from_plain, to_plain

PLACE = "mlflow.json"
DATABASE = "sqlite:///"
ARTIFACTS = "artifacts"
CHECKPOINT = "checkpoint"
"""Among a run's artifacts: the folder of its checkpoint."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Store:
    """An MLflow store: a server, or a database file beside the runs."""

    uri: str
    artifacts: str = ""
    """Where a new experiment's artifacts go: beside a database file; the server's choice when empty."""

    @classmethod
    def of(cls, runs: Path) -> Store:
        """MLFLOW_TRACKING_URI, else SQLite beside the folder that holds the runs: everything under `mlruns/`."""
        runs = runs.absolute()
        root = runs.parent if runs.name == "checkpoints" else runs
        uri = os.environ.get("MLFLOW_TRACKING_URI") or f"{DATABASE}{root / 'mlflow.db'}"
        if not uri.startswith(DATABASE):
            return cls(uri=uri)
        # MLflow's own choice would be ./mlruns, wherever one happens to be.
        return cls(uri=uri, artifacts=(Path(uri.removeprefix(DATABASE)).absolute().parent / ARTIFACTS).as_uri())

    @contextmanager
    def first_use(self) -> Iterator[None]:
        """One process at a time inside the block: two that create the same database crash."""
        if not self.uri.startswith(DATABASE):
            yield
            return
        database = Path(self.uri.removeprefix(DATABASE))
        database.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{database}.lock"):
            yield


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """One run's place."""

    tracking_uri: str
    experiment: str
    experiment_id: str = ""
    run_id: str = ""
    """Empty as long as the tracker could not be reached."""
    sent: int = 0
    """Bytes of the spool that are uploaded."""
    trouble: str = ""
    """What the last attempt to upload failed of; empty when it did not."""


def read_place(folder: Path) -> Place | None:
    """None when the run was never uploaded, or its page is damaged."""
    try:
        return from_plain(Place, json.loads((folder / PLACE).read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def write_place(folder: Path, place: Place) -> None:
    """In one step: a reader sees the old page or the new one."""
    write_atomically(folder / PLACE, json.dumps(to_plain(place), indent=1).encode())
