"""Commands that meet over one run's folder: one of them works, the other says so in one line, and no record lies."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from robustcnn.cli.main import main
from robustcnn.core.ownership import owned
from robustcnn.core.plain_data import from_plain
from robustcnn.models import checkpoint
from robustcnn.runs.train import train
from robustcnn.runs.train_config import TrainConfig

TINY = ["--data.name", "digits", "--data.size", "8", "--model.name", "logistic", "--threads", "1", "--no-track"]


def start(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "robustcnn", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def train_command(runs: Path, seed: int, *options: str) -> list[str]:
    fit = ["--fit.epochs", "3", "--fit.seed", str(seed)]
    return ["train", *TINY, *fit, "--name", "one", "--runs", str(runs), *options]


def taken(capsys: pytest.CaptureFixture[str], *command: str) -> bool:
    assert main(list(command)) == 2
    told = capsys.readouterr().err
    return told.count("\n") == 1 and "is being worked on by process" in told


def test_a_run_that_somebody_works_on_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = ["--runs", str(tmp_path)]
    assert main(train_command(tmp_path, 0)) == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "one").iterdir()}
    with owned(tmp_path / "one"):
        assert taken(capsys, *train_command(tmp_path, 5))
        assert taken(capsys, "train", "--resume", "one", *runs)
    assert {path.name: path.read_bytes() for path in (tmp_path / "one").iterdir()} == before
    gan = ["pretrain", "digits-dcgan", "--data.limit", "60", "--data.size", "16", "--model.width", "0.06"]
    with owned(tmp_path / "gan"):
        assert taken(capsys, *gan, "--no-track", "--name", "gan", *runs)
    assert main([*gan, "--no-track", "--name", "one", *runs]) == 2, "a training's folder is none for a pre-training"


def honest(run: Path, scratch: Path) -> None:
    """The weights in the folder are those of the config beside them."""
    config = from_plain(TrainConfig, json.loads((run / "run.json").read_text())["config"])
    again = train(replace(config, runs=scratch, name=f"again-{run.parent.name}")).folder
    ours, theirs = (checkpoint.load(folder, which="last").state_dict() for folder in (run, again))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.slow
@pytest.mark.parametrize("race", range(3))
def test_of_two_that_start_at_once_one_wins_and_says_the_truth(tmp_path: Path, race: int) -> None:
    both = [start(*train_command(tmp_path, seed)) for seed in (race, race + 5)]
    ends = [(process.communicate(timeout=300), process.returncode) for process in both]
    assert sorted(status for _, status in ends) == [0, 2]
    ((_, said),) = [told for told, status in ends if status == 2]
    assert said.count("\n") == 1
    assert "is being worked on by process" in said or "is there already" in said
    (winner,) = [index for index, (_, status) in enumerate(ends) if status == 0]
    record = json.loads((tmp_path / "one" / "run.json").read_text())
    assert record["config"]["fit"]["seed"] == (race, race + 5)[winner]
    honest(tmp_path / "one", tmp_path)
