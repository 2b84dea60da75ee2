"""A clock that was set back: what is on disk seems to come from tomorrow, and nothing depends on that."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from robustcnn.cli.main import main
from robustcnn.runs.evaluations import read_report, strongest

SMALL = ["--data.name", "digits", "--data.size", "8", "--model.name", "logistic", "--threads", "1", "--no-track"]
ASKED = ["--count", "60", "--eps", "0.1", "--threads", "1", "--no-track", "--no-checks"]
DAY = 86_400.0


def dated_tomorrow(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        os.utime(path, (time.time() + DAY, time.time() + DAY))


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run whose training and weak evaluation are dated a day ahead."""
    monkeypatch.chdir(tmp_path)
    assert main(["train", *SMALL, "--fit.epochs", "2", "--name", "mine"]) == 0
    assert main(["evaluate", "mine", *ASKED, "--attacks", "noise"]) == 0
    folder = Path("mlruns/checkpoints/mine")
    dated_tomorrow(folder)
    return folder


def test_a_stronger_evaluation_made_after_it_still_lowers_the_headline(run: Path) -> None:
    (weak,) = run.glob("evaluations/*/report.json")
    assert main(["evaluate", "mine", *ASKED, "--attacks", "pgd(steps=10)"]) == 0
    reports = [read_report(path.parent) for path in run.glob("evaluations/*/report.json")]
    hits = [report.threats[0].robust.hits for report in reports]
    assert len(hits) == 2
    assert min(hits) < read_report(weak.parent).threats[0].robust.hits
    entry = strongest(run)
    assert entry.report is not None
    assert entry.report.threats[0].robust.hits == min(hits)
    assert main(["compare", "mine"]) == 0


def test_a_training_goes_on_and_an_evaluation_is_not_made_anew(run: Path) -> None:
    (page,) = run.glob("evaluations/*/report.json")
    before = json.loads(page.read_text())
    assert main(["train", "--resume", "mine"]) == 0
    assert main(["evaluate", "mine", *ASKED, "--attacks", "noise"]) == 0
    assert list(run.glob("evaluations/*/report.json")) == [page]
    after = json.loads(page.read_text())
    assert [each["robust"] for each in after["threats"]] == [each["robust"] for each in before["threats"]]
