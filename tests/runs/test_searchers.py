"""A trial is lost when its process has died, and not before."""

from __future__ import annotations

import platform
from datetime import datetime, timedelta
from pathlib import Path

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from robustcnn.runs.searchers import SEARCHER, is_lost, searching


def trial(searcher: str | None, age: timedelta) -> FrozenTrial:
    begun = optuna.trial.create_trial(state=TrialState.RUNNING, user_attrs={SEARCHER: searcher} if searcher else {})
    begun.datetime_start = datetime.now() - age
    return begun


OLD, YOUNG = timedelta(hours=1), timedelta(seconds=1)


def test_a_trial_is_lost_with_its_process(tmp_path: Path) -> None:
    with searching(tmp_path) as name:
        assert not is_lost(trial(name, OLD), tmp_path)
    assert is_lost(trial(name, YOUNG), tmp_path)
    assert not list(tmp_path.iterdir())


def test_of_two_processes_each_has_its_own_name(tmp_path: Path) -> None:
    with searching(tmp_path) as first:
        with searching(tmp_path) as second:
            assert first != second
        assert not is_lost(trial(first, OLD), tmp_path)
        assert is_lost(trial(second, OLD), tmp_path)


@pytest.mark.parametrize(("age", "lost"), [(YOUNG, False), (OLD, True)])
def test_a_trial_that_has_just_begun_may_have_no_name_yet(age: timedelta, lost: bool, tmp_path: Path) -> None:
    assert is_lost(trial(None, age), tmp_path) == lost


def test_a_process_elsewhere_is_left_alone(tmp_path: Path) -> None:
    assert not is_lost(trial(f"far-from-{platform.node()}-7", OLD), tmp_path)
