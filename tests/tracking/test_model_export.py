"""The exported model answers as ours does, and is there once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy
import pytest
import torch

from robustcnn import FitConfig, build, fit
from robustcnn.data.resident import ResidentDataset
from robustcnn.models import checkpoint
from robustcnn.tracking import PLACE, SpooledTracker, read_place, sync

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("alone"), pytest.mark.filterwarnings("ignore")]


@pytest.fixture
def folder(runs: Path, tiny: ResidentDataset) -> Path:
    """A trained run that has told of its checkpoint and its model."""
    folder = runs / "one"
    list(fit(build("logistic", tiny.spec), tiny, tiny, FitConfig(epochs=1), folder=folder, progress=False))
    with SpooledTracker(folder, say=lambda _: None) as tracker:
        tracker.checkpoint()
        tracker.model()
    sync(folder)
    return folder


def models(folder: Path) -> list[Any]:
    from mlflow import MlflowClient

    place = read_place(folder)
    assert place is not None
    found = MlflowClient(place.tracking_uri).search_logged_models([place.experiment_id])
    return [model for model in found if model.source_run_id == place.run_id]


def test_mlflow_loads_the_export_and_gets_our_answers(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import mlflow.pyfunc

    place = read_place(folder)
    assert place is not None
    monkeypatch.setenv("MLFLOW_TRACKING_URI", place.tracking_uri)
    (model,) = models(folder)
    images = torch.rand(5, 1, 12, 12, generator=torch.Generator().manual_seed(0))
    exported = mlflow.pyfunc.load_model(model.model_uri)
    with torch.no_grad():
        ours = checkpoint.load(folder)(images)
    for count in (1, 5):
        numpy.testing.assert_allclose(exported.predict(images[:count].numpy()), ours[:count], atol=1e-6)


def test_uploading_it_again_makes_no_second_model(folder: Path) -> None:
    (first,) = models(folder)
    (folder / PLACE).unlink()
    sync(folder)
    (second,) = models(folder)
    assert first.model_id == second.model_id
    assert second.status == "READY"


def test_the_checkpoint_in_mlflow_loads_as_it_is(folder: Path, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    place = read_place(folder)
    assert place is not None
    MlflowClient(place.tracking_uri).download_artifacts(place.run_id, "checkpoint", str(tmp_path))
    ours, theirs = (checkpoint.load(each).state_dict() for each in (folder, tmp_path / "checkpoint"))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
