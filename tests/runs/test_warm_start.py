"""`robustcnn train --init-from`, as a user meets it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from robustcnn import load_checkpoint
from robustcnn.cli.main import main
from robustcnn.tracking import Tracker
from robustcnn.train.freezing import head_of

SMALL = [
    "--data.limit",
    "60",
    "--fit.epochs",
    "1",
    "--threads",
    "1",
    "--model.name",
    "smallcnn",
    "--model.width",
    "0.1",
]


def command(runs: Path, name: str, *arguments: str) -> list[str]:
    return ["train", "--runs", str(runs), "--name", name, *arguments]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run called `parent`."""
    folder = tmp_path_factory.mktemp("runs")
    assert main(command(folder, "parent", *SMALL, "--no-track")) == 0
    return folder


def record(folder: Path) -> dict[str, Any]:
    page: dict[str, Any] = json.loads((folder / "run.json").read_text())
    return page


def test_the_parents_network_and_weights_are_taken_and_written_down(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    child = command(runs, "child", "--init-from", "parent", "--fit.freeze", "features", *SMALL[:6], "--no-track")
    assert main([*child, "--model.dropout", "0.5"]) == 0
    told = capsys.readouterr().out.splitlines()[1]
    parent, model = (load_checkpoint(runs / name) for name in ("parent", "child"))
    found = record(runs / "child")
    assert (model.config.name, model.config.width, model.config.dropout) == ("smallcnn", 0.1, 0.5)
    assert found["init_from"]["run"] == "parent"
    assert found["init_from"]["path"] == str((runs / "parent").resolve())
    assert found["init_from"]["frozen"] == "0.0, 2.0, 5.0"
    digest = json.loads((runs / "parent" / "checkpoint.json").read_text())["best"]["sha256"]
    assert found["init_from"]["sha256"] == digest
    kept = "last layer kept: the classes are the same; 3 of 3 layers before it frozen"
    assert told == f"starts from parent (sha256 {digest[:12]}); {kept}"
    head = head_of(model)
    for name, tensor in parent.state_dict().items():
        assert (tensor == model.state_dict()[name]).all() == (name.rpartition(".")[0] != head)


def test_the_tracker_is_told_of_the_parent(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tags: dict[str, object] = {}

    class Listener(Tracker):
        def tags(self, told: Mapping[str, object]) -> None:
            tags.update(told)

    monkeypatch.setattr("robustcnn.runs.train.SpooledTracker", lambda *_, **__: Listener())
    assert main(command(runs, "tracked", "--init-from", "parent", *SMALL[:6])) == 0
    assert tags["init_from.run"] == "parent"
    assert tags["init_from.sha256"] == record(runs / "tracked")["init_from"]["sha256"]


def test_a_started_run_goes_on_without_its_parent(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command(runs, "orphan", "--init-from", "parent", *SMALL[:6], "--no-track")) == 0
    before = record(runs / "orphan")
    (runs / "parent").rename(runs / "gone")
    try:
        assert main(["train", "--resume", "orphan", "--runs", str(runs)]) == 0
    finally:
        (runs / "gone").rename(runs / "parent")
    assert record(runs / "orphan") == before
    assert "test accuracy" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--init-from", "parrent"], "(did you mean 'parent'?)"),
        (["--init-from", "parent", "--fit.freeze", "first:9"], "the model has 3 layers with weights before its last"),
        (["--init-from", "parent", "--fit.freeze", "all"], "freeze must be none, features (all but the last layer) or"),
        (["--init-from", "parent", "--data.size", "16"], "it saw 32x32 pixels, these are 16x16: pass --data.size 32"),
        (["--init-from", "parent", "--model.name", "bncnn"], "leave out --model options"),
        (["--weights", "some.pth"], "weights some.pth: needs --init-from torchvision:NAME"),
    ],
)
def test_a_mistake_leaves_no_run_behind(
    runs: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert main(command(runs, "bad", *arguments, *SMALL[:6], "--no-track")) == 2
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1
    assert not (runs / "bad").exists()


@pytest.mark.parametrize(
    ("allowed", "said"),
    [([], "allow the download (--download)"), (["--download"], "could not be downloaded (no route)")],
)
def test_published_weights_are_fetched_only_when_that_is_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], allowed: list[str], said: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError("no route")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", fail)
    assert main(command(tmp_path, "bad", "--init-from", "torchvision:squeezenet1_0", *allowed, "--no-track")) == 2
    assert said in capsys.readouterr().err
