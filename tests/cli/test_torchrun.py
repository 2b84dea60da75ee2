"""The command line under torchrun, in real processes that are really killed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from robustcnn.cli.main import main
from robustcnn.core import meeting
from robustcnn.core.launch import Launch
from robustcnn.models.checkpoint import read_page

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
TRAIN = ["train", "digits-quick", "--epochs", "6", "--data.limit", "600", "--no-track", "--runs", "runs", "--name"]


def launch(place: Path, *options: str) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"}
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen([*TORCHRUN, *options], cwd=place, env=environment, **streams)  # type: ignore[call-overload]


def workers(parent: int) -> list[int]:
    """The processes that torchrun has started."""
    children = [int(path.name) for path in Path("/proc").glob("[0-9]*") if _parent(path) == parent]
    return sorted(children)


def _parent(path: Path) -> int:
    try:
        return int((path / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A training by two processes that nothing happens to, and what it said."""
    place = tmp_path_factory.mktemp("whole")
    running = launch(place, "-m", "robustcnn", *TRAIN, "whole")
    said, _ = running.communicate(timeout=200)
    assert running.returncode == 0, said[-2000:]
    return place / "runs" / "whole", said


@pytest.mark.slow
def test_one_process_of_two_speaks_and_writes(whole: tuple[Path, str]) -> None:
    folder, said = whole
    assert said.count("run whole: ") == said.count("test accuracy") == said.count("\n    6 ") == 1
    assert "2 processes" in said
    assert {path.name.partition("-")[0] for path in folder.iterdir()} <= {
        "run.json",
        "checkpoint.json",
        "weights",
        "training",
        "owner.lock",
    }


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").is_file(), reason="finds the workers in /proc")
def test_a_killed_worker_is_started_again_and_the_weights_are_the_same(whole: tuple[Path, str], tmp_path: Path) -> None:
    running = launch(tmp_path, "--max-restarts", "1", "-m", "robustcnn", *TRAIN, "hurt")
    assert running.stdout is not None
    said, killed = [], 0.0
    for line in running.stdout:
        said.append(line)
        if line.startswith("    3 ") and not killed:
            os.kill(workers(running.pid)[-1], signal.SIGKILL)
            killed = time.monotonic()
        if "robustcnn: rank 0 of 2" in line or "stopped (rank 0 of 2" in line:
            assert time.monotonic() - killed < 60
    running.stdout.close()
    text = "".join(said)
    assert running.wait(200) == 0, text[-2000:]
    assert re.search(
        r"waits in vain for another process.*continue with: robustcnn train --resume hurt|stopped \(", text
    )
    assert text.count("run hurt: ") == 2
    assert "\n    1 " not in text.rpartition("run hurt: ")[2]  # it went on, and did not begin anew
    ours, theirs = read_page(tmp_path / "runs" / "hurt"), read_page(whole[0])
    assert (ours.best.sha256, ours.last.sha256) == (theirs.best.sha256, theirs.last.sha256)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["train", "--resume", "absent", "--runs", "runs"], r"runs/absent holds no run: it has no run\.json"),
        ([*TRAIN, "small", "--batch-size", "1"], "batch_size is that of all processes together and must be at least"),
    ],
)
def test_a_mistake_is_one_line_of_one_process(tmp_path: Path, arguments: list[str], line: str) -> None:
    running = launch(tmp_path, "-m", "robustcnn", *arguments)
    said, _ = running.communicate(timeout=200)
    ours = [each for each in said.splitlines() if each.startswith("robustcnn: ")]
    assert len(ours) == 1, said
    assert re.search(line, ours[0])
    assert running.returncode == 1  # torchrun's own; that of the processes is in its table
    assert re.search(r"exitcode\s*: 2", said)


def test_who_is_ended_while_waiting_for_the_others_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """As torchrun does with all when one of them ends as it begins."""
    environment = {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(meeting, "launched", lambda: Launch(rank=0, world=2))
    monkeypatch.setattr(meeting, "_join", lambda _: os.kill(os.getpid(), signal.SIGTERM))
    monkeypatch.chdir(tmp_path)
    assert main([*TRAIN, "late"]) == 143
    assert "was ended while it waited for the others: one of them ended as it began" in capsys.readouterr().err
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("rank", [0, 1])
def test_a_verb_for_one_process_refuses_torchrun_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], rank: int
) -> None:
    environment = {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}
    for name, value in (environment | {"TORCHELASTIC_RUN_ID": "abc"}).items():
        monkeypatch.setenv(name, value)
    assert main(["data"]) == 2
    line = "robustcnn: data is the work of one process: leave torchrun out (train and pretrain are for it)\n"
    assert capsys.readouterr().err == ("" if rank else line)
