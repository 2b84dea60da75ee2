"""The exported model answers as ours does, and is there once."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from tracked import report

from robustcnn import FitConfig, build, fit
from robustcnn.core.results import Share
from robustcnn.data.resident import ResidentDataset
from robustcnn.models import checkpoint
from robustcnn.tracking import PLACE, SpooledTracker, promote, read_place, sync

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


def test_the_most_robust_run_is_the_champion_and_opens_in_a_process_without_us(folder: Path, tmp_path: Path) -> None:
    weaker = folder.with_name("two")
    shutil.copytree(folder, weaker)
    for name in (PLACE, "tracking.jsonl", "tracking.lock"):
        (weaker / name).unlink(missing_ok=True)
    asked = report().threats[1]
    for place, hits in ((folder, 60), (weaker, 40)):
        with SpooledTracker(place, say=lambda _: None) as tracker:
            tracker.report(replace(report(), threats=(replace(asked, robust=Share.of(hits, 100)),)))
        sync(place)
    promoted = promote([weaker, folder], name="reader")
    assert (promoted.folder, promoted.robust_accuracy) == (folder, 0.6)
    images = torch.rand(3, 1, 12, 12, generator=torch.Generator().manual_seed(0))
    numpy.save(tmp_path / "images.npy", images.numpy())
    place = read_place(folder)
    assert place is not None
    code = (
        "import sys; sys.modules['robustcnn'] = None\n"
        "import mlflow, numpy\n"
        f"mlflow.set_tracking_uri({place.tracking_uri!r})\n"
        f"answers = mlflow.pyfunc.load_model('models:/reader@champion').predict(numpy.load('images.npy'))\n"
        "numpy.save('answers.npy', answers)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True, timeout=300)
    with torch.no_grad():
        numpy.testing.assert_allclose(numpy.load(tmp_path / "answers.npy"), checkpoint.load(folder)(images), atol=1e-6)


def test_a_run_is_promoted_only_on_a_measurement_that_counts(folder: Path) -> None:
    with pytest.raises(ValueError, match="no run here was evaluated"):
        promote([folder], name="reader")
