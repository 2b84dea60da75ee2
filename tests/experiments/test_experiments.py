"""Every experiment is short, says its question first, explains itself, and works in small without any file."""

from __future__ import annotations

import os
import runpy
import sys
from pathlib import Path

import pytest
from forked import run_script

HOUSE = Path(__file__).parents[2] / "experiments"
SCRIPTS = sorted(HOUSE.glob("[0-9][0-9]_*.py"))
NAMES = [path.stem for path in SCRIPTS]
TOLD = "33_architectures"
"""Whose run MLflow is told of; the uploader of each costs seconds."""


@pytest.mark.parametrize("script", SCRIPTS, ids=NAMES)
def test_an_experiment_is_short_and_begins_with_its_question(script: Path) -> None:
    lines = script.read_text().splitlines()
    assert len(lines) <= 120
    assert lines[0].startswith('"""')
    assert "?" in lines[0]


def test_no_two_experiments_have_one_number() -> None:
    assert len({name[:2] for name in NAMES}) == len(NAMES)


@pytest.mark.parametrize("script", SCRIPTS, ids=NAMES)
def test_an_experiment_explains_itself_and_offers_quick(
    script: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(HOUSE))
    monkeypatch.setattr(sys, "argv", [script.name, "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(script), run_name="__main__")
    assert not ended.value.code
    assert "--quick" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS, ids=NAMES)
def test_an_experiment_works_in_small_and_keeps_table_and_pictures_without_any_data_set(
    script: Path, tmp_path: Path
) -> None:
    env = os.environ | {
        "ROBUSTCNN_DATA": str(tmp_path / "no-data"),
        "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db",
        "OMP_NUM_THREADS": "1",
    }
    lesson = "Lesson(" in script.read_text()
    untold = ["--no-track"] if lesson and script.stem != TOLD else []
    done = run_script(script, "--quick", *untold, folder=tmp_path, env=env)
    assert done.status == 0, done.stderr[-2000:]
    heads = [number for number, line in enumerate(done.stdout.splitlines()) if line.startswith("|---")]
    assert heads, done.stdout
    # Networks may report on their training in between.
    assert any(line.startswith("| ") for line in done.stdout.splitlines()[heads[0] + 1 :])
    if lesson:
        (folder,) = (tmp_path / "mlruns" / "checkpoints").glob("lecture-*-quick")
        kept = {path.name for path in folder.glob("*.png")} | {"table.md"}
        assert len(kept) > 1
        assert "|---|" in (folder / "table.md").read_text()
        if not untold:
            told = (folder / "tracking.jsonl").read_text()
            assert [name for name in kept if name not in told] == []
