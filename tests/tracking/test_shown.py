"""What MLflow's pages show of a run: who made it, pictures, tables, data with schema and source, one headline."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tracked import report

from robustcnn.data.resident import ResidentDataset
from robustcnn.tracking import SpooledTracker, read_place, sync
from robustcnn.tracking.place import write_place

pytestmark = pytest.mark.usefixtures("alone")


def png(colour: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (40, 30), colour).save(file, format="PNG")
    return file.getvalue()


def client_and_id(folder: Path) -> tuple[Any, str]:
    from mlflow import MlflowClient

    place = read_place(folder)
    assert place is not None
    return MlflowClient(place.tracking_uri), place.run_id


@pytest.fixture
def folder(runs: Path, tiny: ResidentDataset, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run with pictures and a table, uploaded twice."""
    folder = runs / "plain-20261125-223310-404"
    monkeypatch.setattr("sys.argv", ["bin/robustcnn", "train", "digits-quick"])
    with SpooledTracker(folder, group="demo", say=lambda _: None) as tracker:
        tracker.tags({"commit": "abc123"})
        tracker.data(tiny, "training")
        for name, colour in {"loss.png": "red", "a.png": "green", "b.png": "blue"}.items():
            tracker.artifact(name, content=png(colour))
        tracker.picture("loss.png", "loss curve", step=8)
        (folder / "worst.json").write_text(json.dumps({"clean": ["a.png", "b.png"], "said": ["x", "y"]}))
        tracker.table("worst.json")
        tracker.note("![loss](get-artifact?path=loss.png&run_uuid={run_id})")
    sync(folder)
    place = read_place(folder)
    assert place is not None
    write_place(folder, replace(place, sent=0))
    sync(folder)
    return folder


def test_a_run_says_who_made_it_by_which_command_and_of_which_group(folder: Path) -> None:
    client, run_id = client_and_id(folder)
    run = client.get_run(run_id)
    assert run.info.run_name == "plain"
    assert run.data.tags["group"] == "demo"
    assert run.data.tags["folder"] == folder.name
    assert run.data.tags["mlflow.user"]
    assert run.data.tags["mlflow.source.name"] == "robustcnn train digits-quick"
    assert run.data.tags["mlflow.source.git.commit"] == "abc123"
    assert run.data.tags["mlflow.note.content"].endswith(f"run_uuid={run_id})")


def test_a_picture_is_in_the_image_grid_once(folder: Path) -> None:
    client, run_id = client_and_id(folder)
    files = [each.path for each in client.list_artifacts(run_id, "images")]
    assert len(files) == 2, "the picture and its small copy, although it was uploaded twice"
    assert all("loss curve" in each and "step" in each for each in files)
    assert client.get_run(run_id).data.tags["mlflow.loggedImages"] == "True"


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_table_has_its_rows_once_and_pictures_in_its_cells(folder: Path, tmp_path: Path) -> None:
    client, run_id = client_and_id(folder)
    path = client.download_artifacts(run_id, "worst.json", str(tmp_path))
    table = json.loads(Path(path).read_text())
    assert table["columns"] == ["clean", "said"]
    assert [row[1] for row in table["data"]] == ["x", "y"]
    assert table["data"][0][0]["type"] == "image"


def test_data_have_a_schema_and_a_source(folder: Path) -> None:
    client, run_id = client_and_id(folder)
    (used,) = client.get_run(run_id).inputs.dataset_inputs
    (images,) = json.loads(json.loads(used.dataset.schema)["mlflow_tensorspec"]["features"])
    assert images["tensor-spec"] == {"dtype": "uint8", "shape": [-1, 1, 12, 12]}
    assert "tiny" in json.loads(used.dataset.source)["uri"]
    assert json.loads(used.dataset.profile)["num_rows"] == 60


def test_the_experiment_opens_among_model_trainings(folder: Path) -> None:
    client, run_id = client_and_id(folder)
    experiment = client.get_experiment(client.get_run(run_id).info.experiment_id)
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"


def test_the_strongest_evaluation_is_the_headline(runs: Path) -> None:
    weak = report()
    ensemble = replace(weak.threats[0].attacks[0], attack="AutoAttack()")
    strong = replace(weak, threats=tuple(replace(each, attacks=(ensemble,)) for each in weak.threats[:2]))
    weaker_yet = replace(weak, count=10, threats=weak.threats[:1], findings=())
    folder = runs / "one"
    for each in (weak, strong, weaker_yet):
        # Each evaluation is a process of its own.
        with SpooledTracker(folder, say=lambda _: None) as tracker:
            tracker.report(each)
    sync(folder)
    client, run_id = client_and_id(folder)
    run = client.get_run(run_id)
    assert run.data.metrics["robust_accuracy"] == strong.threats[1].robust.value == 0.45
    assert run.data.tags["verdict"] == "warn"


def test_the_optimisers_state_is_uploaded_only_when_asked(runs: Path) -> None:
    folder = runs / "one"
    folder.mkdir()
    for name in ("checkpoint.json", "weights-0001.safetensors", "training-0001.safetensors"):
        (folder / name).write_bytes(b"{}")
    for asked in (False, True):
        with SpooledTracker(folder, say=lambda _: None) as tracker:
            tracker.checkpoint(training=asked)
        sync(folder)
        client, run_id = client_and_id(folder)
        there = {each.path for each in client.list_artifacts(run_id, "checkpoint")}
        assert ("checkpoint/training-0001.safetensors" in there) is asked
        assert "checkpoint/weights-0001.safetensors" in there
