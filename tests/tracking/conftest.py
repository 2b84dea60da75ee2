"""A fresh store for each test, and runs without their uploading process, which a test plays itself by `sync`."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tracked import NoUploader

from robustcnn.tracking import SpooledTracker, outbox, sync

RUNS = Path("mlruns") / "checkpoints"


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No process beside the run."""
    monkeypatch.setattr(outbox, "Uploader", NoUploader)


@pytest.fixture(autouse=True)
def local(monkeypatch: pytest.MonkeyPatch) -> None:
    """The developer's own server is not for tests."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made once, for it takes seconds."""
    root = tmp_path_factory.mktemp("store")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outbox, "Uploader", NoUploader)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        tracker = SpooledTracker(root / RUNS / "first", experiment="first", say=lambda _: None)
        tracker.close()
        sync(root / RUNS / "first")
    return root / "mlruns" / "mlflow.db"


@pytest.fixture
def runs(tmp_path: Path, empty_database: Path) -> Path:
    """The folder of runs beside a store that is there already."""
    folder = tmp_path / RUNS
    folder.mkdir(parents=True)
    shutil.copy(empty_database, tmp_path / "mlruns" / "mlflow.db")
    return folder
