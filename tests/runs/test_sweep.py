"""A search with real trainings, real processes and a real journal."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from elsewhere import Elsewhere

from robustcnn.data.registry import DataConfig
from robustcnn.models import ModelConfig
from robustcnn.runs.folder import Say
from robustcnn.runs.pool.everywhere import refuse_strangers
from robustcnn.runs.sweep import SweepConfig, config_of, sweep
from robustcnn.runs.train_config import TrainConfig
from robustcnn.train import FitConfig

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")


def tiny(folder: Path, **changes: object) -> SweepConfig:
    fit = FitConfig(epochs=2, batch_size=256)
    train = TrainConfig(
        runs=folder / "runs", data=DataConfig(name="digits"), model=ModelConfig(name="logistic"), fit=fit, track=False
    )
    base = SweepConfig(study="search", train=train, vary=("fit.optim.lr=log(1e-4,1e-1)",), trials=4)
    return replace(base, **changes)  # type: ignore[arg-type]


def study_of(config: SweepConfig) -> optuna.Study:
    backend = optuna.storages.journal.JournalFileBackend(str(config.folder / "study.log"))
    return optuna.load_study(study_name=config.study, storage=optuna.storages.JournalStorage(backend))


def collected(lines: list[str]) -> Say:
    return lines.append


class AskedError(Exception):
    """For a study, which is all that was to be seen."""


def test_losses_are_made_small_and_accuracies_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def create(*, directions: list[str], **_: object) -> optuna.Study:
        asked.append(directions)
        raise AskedError

    monkeypatch.setattr(optuna, "create_study", create)
    with pytest.raises(AskedError):
        sweep(tiny(tmp_path, objective=("valid_loss", "valid_accuracy")))
    assert asked == [["minimize", "maximize"]]


def test_every_trial_has_a_run_of_its_own_with_its_values(tmp_path: Path) -> None:
    config = tiny(tmp_path)
    drawn = [optuna.trial.FixedTrial({"fit.optim.lr": lr}, number=number) for number, lr in ((3, 0.01), (14, 0.02))]
    first, second = (config_of(trial, config) for trial in drawn)  # type: ignore[arg-type]
    assert (first.name, first.group, first.fit.optim.lr) == ("search-0003", "search", 0.01)
    assert (second.name, second.fit.optim.lr) == ("search-0014", 0.02)


@pytest.mark.slow
def test_a_search_keeps_runs_table_picture_and_best_and_goes_on(tmp_path: Path) -> None:
    lines: list[str] = []
    told = sweep(tiny(tmp_path), say=collected(lines))
    config = tiny(tmp_path)
    assert {path.name for path in (tmp_path / "runs").iterdir()} == {f"search-{n:04d}" for n in range(4)}
    assert (config.folder / "sweep.png").stat().st_size > 1000
    best = json.loads((config.folder / "best.json").read_text())
    study = study_of(config)
    assert best[0]["values"][0] == max(trial.value for trial in study.trials if trial.value is not None)
    assert best[0]["run"] in told
    record = json.loads((tmp_path / "runs" / best[0]["run"] / "run.json").read_text())
    assert record["config"]["fit"]["optim"]["lr"] == pytest.approx(best[0]["params"]["fit.optim.lr"])
    assert record["config"]["group"] == "search"
    sweep(tiny(tmp_path, trials=5))
    assert len(study_of(config).trials) == 5


@pytest.mark.slow
def test_two_objectives_make_a_front_and_hopeless_trainings_are_stopped(tmp_path: Path) -> None:
    vary = ("fit.optim.lr=choice(1e-5, 0.05)", "fit.epochs=int(1, 2)")
    told = sweep(tiny(tmp_path, vary=vary, objective=("valid_accuracy", "train_loss"), trials=3))
    assert "train_loss" in told
    config = tiny(tmp_path / "b", vary=("fit.optim.lr=choice(1e-7, 0.1)",), trials=12)
    sweep(config)
    states = [trial.state for trial in study_of(config).trials]
    assert optuna.trial.TrialState.PRUNED in states


@pytest.mark.slow
def test_two_processes_share_a_study_and_a_killed_ones_trial_is_given_up(tmp_path: Path) -> None:
    config = tiny(tmp_path, trials=6, workers=2)
    sweep(config)
    # As many as were asked for, and not one for each process on top.
    assert len([trial for trial in study_of(config).trials if trial.value is not None]) == 6
    long = replace(config.train, fit=replace(config.train.fit, epochs=5000))
    doomed = replace(config, study="doomed", train=long, workers=1)
    code = "import sys; from robustcnn.runs.sweep import work; work(sys.argv[1])"
    from robustcnn.core.plain_data import to_plain

    process = subprocess.Popen([sys.executable, "-c", code, json.dumps(to_plain(doomed))], stdout=subprocess.DEVNULL)
    try:
        page = tmp_path / "runs" / "doomed-0000" / "checkpoint.json"
        limit = time.monotonic() + 120
        while not page.exists() and time.monotonic() < limit:
            time.sleep(0.2)
        assert page.exists()
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    sweep(replace(doomed, train=config.train, trials=1))
    states = [trial.state for trial in study_of(doomed).trials]
    assert states == [optuna.trial.TrialState.FAIL, optuna.trial.TrialState.COMPLETE]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"vary": ()}, "vary must name at least one option"),
        ({"vary": ("fit.optim.lrr=log(1e-4,1)",)}, r"unknown key 'fit.optim.lrr' \(did you mean 'lr'"),
        ({"vary": ("fit.epochs=choice(a, b)",)}, "fit.epochs must be int, got 'a'"),
        ({"objective": ("robust_accuracy",)}, "objective robust_accuracy needs an adversarial --objective"),
    ],
)
def test_what_cannot_be_searched_is_refused_before_anything_is_trained(
    tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        sweep(tiny(tmp_path, **changes))
    assert not (tmp_path / "runs").exists()


def test_an_unknown_objective_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"unknown objective 'valid_acuracy' \(did you mean 'valid_accuracy'"):
        SweepConfig(objective=("valid_acuracy",))


@pytest.mark.slow
def test_the_workers_of_a_scheduler_do_the_trainings_of_one_search(tmp_path: Path, elsewhere: Elsewhere) -> None:
    pytest.importorskip("distributed")
    lines: list[str] = []
    config = tiny(tmp_path, scheduler=elsewhere.address, trials=3)
    assert "search-0002" in sweep(config, say=collected(lines))
    assert len([each for each in study_of(config).trials if each.values]) == 3
    assert sum("valid_accuracy" in line for line in lines) == 3
    assert (config.train.runs / "search-0001" / "run.json").is_file()
    assert not list(config.folder.glob(".seen*"))


def test_workers_that_do_not_see_the_folder_of_a_search_are_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"worker tcp://far:1 does not see .* \(share that folder with all"):
        refuse_strangers({"tcp://near:1": True, "tcp://far:1": False}, tmp_path)
    with pytest.raises(ValueError, match="scheduler has workers of its own"):
        tiny(tmp_path, scheduler="tcp://far:1", workers=2)
    with pytest.raises(ValueError, match="scheduler must be an address such as tcp://HOST:8786"):
        tiny(tmp_path, scheduler="far")
