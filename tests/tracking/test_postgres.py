"""Ten runs at once on an MLflow server with PostgreSQL behind it, and the server killed in the middle."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from postgres import Server, database, free_port, programs, rows

from robustcnn.cli.main import main

ROOT = Path(__file__).parents[2]
RUNS, STEPS = 10, 40
LIFE = f"""
import sys, time
from pathlib import Path
from robustcnn.tracking import SpooledTracker
with SpooledTracker(Path(sys.argv[1]), say=lambda line: None) as tracker:
    tracker.config({{"seed": int(sys.argv[2])}})
    for step in range({STEPS}):
        tracker.metrics({{"loss": 1 / (step + 1), "accuracy": step / {STEPS}}}, step=step)
        time.sleep(0.25)
"""


def test_the_containers_start_the_server_as_it_was_tried_and_for_this_machine_alone() -> None:
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    flags = {word.partition("=")[0] for word in services["mlflow"]["command"]}
    assert {word for word in Server("", 1, Path()).command if word.startswith("--")} <= flags
    assert services["mlflow"]["ports"] == ["127.0.0.1:5000:5000"]
    assert "ports" not in services["database"]
    pinned = set((ROOT / "constraints.txt").read_text().split())
    assert set(services["mlflow"]["build"]["dockerfile_inline"].split("--no-cache-dir ")[1].split()) <= pinned


@pytest.mark.slow
@pytest.mark.skipif(programs() is None, reason="PostgreSQL is not installed (apt-get install postgresql)")
def test_ten_runs_at_once_lose_and_repeat_no_metric_when_the_server_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("psycopg2")
    monkeypatch.chdir(tmp_path)
    with database() as address:
        server = Server(address, free_port(), tmp_path)
        server.start()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        names = [f"run-{number}" for number in range(RUNS)]
        folder = tmp_path / "mlruns" / "checkpoints"
        lives = [
            subprocess.Popen([sys.executable, "-c", LIFE, str(folder / name), str(number)])
            for number, name in enumerate(names)
        ]
        try:
            while rows(address, "SELECT count(*) FROM metrics")[0][0] < RUNS * STEPS // 4:  # type: ignore[operator]
                assert any(life.poll() is None for life in lives)
                time.sleep(0.05)
            server.kill()
            time.sleep(1)
            server.start()
            assert [life.wait(300) for life in lives] == [0] * RUNS
            assert main(["sync", *names]) == 0
            said = rows(address, "SELECT run_uuid, key, step, count(*) FROM metrics GROUP BY run_uuid, key, step")
            mine = {(key, step, count) for _, key, step, count in said if key in ("loss", "accuracy")}
            assert len([each for each in said if each[1] in ("loss", "accuracy")]) == RUNS * 2 * STEPS
            assert mine == {(key, step, 1) for key in ("loss", "accuracy") for step in range(STEPS)}
            statuses = rows(address, "SELECT name, status FROM runs")
            assert sorted(statuses) == sorted((name, "FINISHED") for name in names)
        finally:
            for life in lives:
                life.kill()
            server.kill()
