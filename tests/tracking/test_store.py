"""Which MLflow store a run goes to, and where its artifacts lie."""

from __future__ import annotations

from pathlib import Path

import pytest

from robustcnn.tracking.place import Store


def test_by_itself_a_run_goes_to_a_database_beside_its_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    store = Store.of(tmp_path / "checkpoints")
    assert store == Store(uri=f"sqlite:///{tmp_path}/mlflow.db", artifacts=(tmp_path / "artifacts").as_uri())


def test_artifacts_lie_beside_a_database_that_was_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mine.db")
    assert Store.of(Path("elsewhere")).artifacts == (tmp_path / "artifacts").as_uri()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mine.db")
    assert Store.of(Path("elsewhere")).artifacts == (tmp_path / "artifacts").as_uri()


def test_a_server_chooses_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://tracking.example/")
    assert Store.of(Path("runs")) == Store(uri="https://tracking.example/", artifacts="")
