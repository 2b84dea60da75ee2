"""Twenty trainings at once that share one store: each is there once, with all that it said."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

MANY = 20
TRAIN = "train --data.name digits --data.size 8 --model.name logistic --fit.epochs 2 --threads 1 --name"


@pytest.mark.soak
def test_twenty_trainings_share_a_store_from_its_first_moment(tmp_path: Path) -> None:
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "robustcnn", *TRAIN.split(), f"run{number}"],
            cwd=tmp_path,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for number in range(MANY)
    ]
    ended = [(process.communicate(timeout=900)[0], process.returncode) for process in started]
    assert [(said, status) for said, status in ended if status] == []
    sync = [sys.executable, "-m", "robustcnn", "sync"]
    subprocess.run(sync, cwd=tmp_path, env=env, check=True, capture_output=True, timeout=900)

    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{tmp_path}/mlruns/mlflow.db")
    runs = client.search_runs([each.experiment_id for each in client.search_experiments()], max_results=1000)
    assert sorted(run.info.run_name for run in runs) == sorted(f"run{number}" for number in range(MANY))
    assert {run.info.status for run in runs} == {"FINISHED"}
    names = {tuple(sorted(run.data.metrics)) for run in runs}
    assert len(names) == 1, "all said the same kinds of things"
    lengths = {name: {len(client.get_metric_history(run.info.run_id, name)) for run in runs} for name in names.pop()}
    assert all(len(counts) == 1 for counts in lengths.values()), "nothing is missing, nothing there twice"
