"""A disk that is full: the last good state stays, nothing half written is left, and one line says what and how much."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from robustcnn.cli.main import main
from robustcnn.models import checkpoint
from robustcnn.tracking.records import Point, Record
from robustcnn.tracking.spool import Spool

pytestmark = pytest.mark.slow
TINY = ["--data.name", "digits", "--data.size", "16", "--model.name", "smallcnn", "--model.width", "0.25"]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of three megabytes."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = sys.platform == "linux" and not subprocess.call(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(place)], stderr=subprocess.DEVNULL
    )
    if not mounted:
        pytest.skip("a small disk can only be mounted by root on Linux")
    yield place
    subprocess.check_call(["umount", "-l", str(place)])


def fill(disk: Path, *, but: int) -> Path:
    """All of it but so many bytes."""
    statistics = __import__("os").statvfs(disk)
    path = disk / "fill"
    path.write_bytes(bytes(max(0, statistics.f_bavail * statistics.f_frsize - but)))
    return path


def train(runs: Path, name: str) -> int:
    options = ["--fit.epochs", "3", "--threads", "1", "--name", name, "--runs", str(runs), "--no-track"]
    return main(["train", *TINY, *options])


def test_a_training_keeps_its_last_epoch_and_goes_on_when_there_is_room(
    disk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(tmp_path, "whole") == 0
    filler = fill(disk, but=900_000)
    capsys.readouterr()
    assert train(disk / "runs", "one") == 1
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "No space left on device: 287," in told
    assert "safetensors'" in told
    assert not list(disk.rglob("*.partial"))
    assert [each.epoch for each in checkpoint.read_page(disk / "runs" / "one").history] == [1]
    filler.unlink()
    assert main(["train", "--resume", "one", "--runs", str(disk / "runs")]) == 0
    ours, theirs = (checkpoint.load(folder).state_dict() for folder in (disk / "runs" / "one", tmp_path / "whole"))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_sync_onto_a_full_disk_is_one_line_and_loses_nothing(disk: Path) -> None:
    folder, command = disk / "mlruns" / "checkpoints" / "one", [sys.executable, "-m", "robustcnn"]
    options = ["--fit.epochs", "1", "--threads", "1", "--name", "one", "--runs", str(folder.parent)]
    subprocess.run([*command, "train", *TINY, *options], check=True, capture_output=True)
    spool = Spool(folder)
    for step in range(60):
        points = tuple(Point(key=f"m{number}", value=1.0, step=step) for number in range(10))
        spool.append(Record(what="metrics", points=points))
    filler = fill(disk, but=0)
    done = subprocess.run([*command, "sync", "--runs", str(folder.parent)], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert len(done.stderr) < 1000, done.stderr
    filler.unlink()
    told = subprocess.check_output([*command, "sync", "--runs", str(folder.parent)], text=True)
    assert "records uploaded" in told
