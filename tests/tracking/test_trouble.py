"""Real servers and real processes that die: the run goes on, and in the end everything is there once."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tracked import epoch, life, seen

from robustcnn.tracking import SpooledTracker, Store, read_place, serve, server, sync
from robustcnn.tracking.uploader import LOG

pytestmark = pytest.mark.slow
QUICK = 0.5
"""Seconds that a word to the tracker may take on a busy machine; some milliseconds on a quiet one."""


def wait_until(happened: Callable[[], object], seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


def sent(folder: Path) -> int:
    place = read_place(folder)
    return 0 if place is None else place.sent


def trouble(folder: Path) -> str:
    place = read_place(folder)
    return "" if place is None else place.trouble


def timed(work: Callable[[], None]) -> float:
    start = time.monotonic()
    work()
    return time.monotonic() - start


def test_a_server_killed_in_mid_run_costs_nothing(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "ENDING", (signal.SIGKILL,))
    lines: list[str] = []
    store, folder = Store.of(runs), runs / "one"
    with serve(store) as url:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
        tracker = SpooledTracker(folder, say=lines.append)
        tracker.epoch(epoch(1))
        wait_until(lambda: sent(folder))
    for number in (2, 3):
        assert timed(lambda number=number: tracker.epoch(epoch(number))) < QUICK  # type: ignore[misc]
    wait_until(lambda: trouble(folder))
    life(tracker, epochs=5)
    tracker.close()
    (line,) = lines
    assert "`robustcnn sync one` uploads it later" in line
    assert url in line
    with serve(store, port=int(url.rpartition(":")[2])):
        assert sync(folder) > 0
        run = seen(folder)
    assert run["status"] == "FINISHED"
    assert [step for step, _, _ in run["metrics"]["fit/valid_loss"]] == [1, 2, 3, 4, 5]
    assert run["files"] == ["figures/curve.png"]
    twice = {name: each for name, each in run["metrics"].items() if len({step for step, *_ in each}) < len(each)}
    assert twice == {}


def test_a_server_that_never_answers_holds_nobody_up(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    lines: list[str] = []
    folder = runs / "one"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
        tracker = SpooledTracker(folder, say=lines.append)
        for number in range(1, 11):
            assert timed(lambda number=number: tracker.epoch(epoch(number))) < QUICK  # type: ignore[misc]
        wait_until(lambda: trouble(folder))
        assert timed(tracker.close) < 30
    assert "timed out" in lines[0] or "timed out" in lines[1]
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    with serve(Store.of(runs), port=port):
        sync(folder)
        assert len(seen(folder)["metrics"]["fit/seconds"]) == 10


def test_a_killed_run_is_uploaded_to_its_last_word_and_marked(runs: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from robustcnn.tracking import SpooledTracker\n"
        "SpooledTracker(Path(sys.argv[1])).metrics({'x': 1.0})\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    folder = runs / "one"
    assert subprocess.run([sys.executable, "-c", code, folder], check=False).returncode == -signal.SIGKILL
    wait_until(lambda: sent(folder) and seen(folder)["status"] == "KILLED")
    assert len(seen(folder)["metrics"]["x"]) == 1
    assert (folder / LOG).read_text() == ""


def test_a_local_store_needs_no_server_and_says_nothing(runs: Path, capfd: pytest.CaptureFixture[str]) -> None:
    lines: list[str] = []
    with SpooledTracker(runs / "one", say=lines.append) as tracker:
        life(tracker)
    assert not [line for line in lines if "still uploading" not in line]
    assert capfd.readouterr() == ("", "")
    assert (runs / "one" / LOG).read_text() == ""
    assert seen(runs / "one")["status"] == "FINISHED"


def test_a_taken_port_is_refused_by_name_and_avoided_otherwise(runs: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ValueError, match=f"port {port} is taken"), serve(Store.of(runs), port=port):
            pass
    with serve(Store.of(runs)) as first, serve(Store.of(runs)) as second:
        assert first != second
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(first.rpartition(":")[2]))).close()


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("no database")
    with (
        pytest.raises(OSError, match=r"did not start .*file is not a database"),
        serve(Store(uri=f"sqlite:///{tmp_path}/mlflow.db")),
    ):
        pass


def test_a_store_that_is_a_server_runs_already() -> None:
    with serve(Store(uri="https://tracking.example/")) as url:
        assert url == "https://tracking.example"
