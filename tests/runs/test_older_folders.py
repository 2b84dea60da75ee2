"""Folders of runs that version 0.1.0 left behind are read, gone on with, and attacked."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from robustcnn.cli.main import main
from robustcnn.models import checkpoint
from robustcnn.runs.evaluations import entry_of, latest
from robustcnn.runs.find_model import find
from robustcnn.train.gan.checkpoint import load_discriminator, load_generator
from robustcnn.train.warm_start import read_source

KEPT = Path(__file__).parent / "run_folders"


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A copy of the folders that were kept."""
    return Path(shutil.copytree(KEPT, tmp_path / "runs"))


def test_an_older_run_has_its_config_scores_history_and_report(runs: Path) -> None:
    entry = entry_of(runs / "old", latest(runs / "old"))
    assert (entry.name, [each.epoch for each in entry.history]) == ("old", [1, 2])
    assert entry.scores is not None
    assert entry.scores.accuracy == json.loads((runs / "old" / "run.json").read_text())["test"]["best"]["accuracy"]
    assert entry.report is not None
    assert [threat.eps for threat in entry.report.threats] == [0.1]
    found = find("old", runs)
    assert found.trained is not None
    assert found.trained.data.size == 8
    assert main(["compare", "old", "--runs", str(runs), "--out", str(runs / "pages")]) == 0


def test_an_older_run_goes_on_to_nothing_more_and_the_same_test_scores(runs: Path) -> None:
    before = json.loads((runs / "old" / "run.json").read_text())["test"]
    weights = checkpoint.load(runs / "old").state_dict()
    assert main(["train", "--resume", "old", "--runs", str(runs)]) == 0
    assert json.loads((runs / "old" / "run.json").read_text())["test"] == before
    again = checkpoint.load(runs / "old").state_dict()
    assert all(torch.equal(weights[name], again[name]) for name in weights)


def test_an_older_pre_training_gives_both_networks_and_a_start(runs: Path) -> None:
    generator, judge = load_generator(runs / "oldgan"), load_discriminator(runs / "oldgan")
    images = generator(torch.zeros(2, generator.config.latent))
    assert judge(images).shape == (2, 1)
    assert not read_source("oldgan", runs).classifies
