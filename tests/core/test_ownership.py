"""One process at a time owns a folder, until it ends or dies."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from robustcnn.core.ownership import LOCK, Taken, owned

HOLD = """
import sys, time
from pathlib import Path
from robustcnn.core.ownership import owned
with owned(Path(sys.argv[1])):
    print("mine", flush=True)
    sys.stdin.read()
"""


@contextmanager
def owner(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that owns the folder as long as the block lasts, or until it is killed."""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdin=pipe, stdout=pipe) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"mine\n"
        try:
            yield process
        finally:
            process.kill()


def test_the_second_to_come_is_told_who_was_first(tmp_path: Path) -> None:
    with owner(tmp_path / "run") as process:
        told = rf"run is being worked on by process {process.pid} on .* since \d{{4}}-.*: wait for that to end"
        with pytest.raises(Taken, match=told), owned(tmp_path / "run"):
            pytest.fail("two owners")


def test_a_killed_owner_leaves_the_folder_free_and_its_half_written_files_go(tmp_path: Path) -> None:
    with owner(tmp_path) as process:
        (tmp_path / f"weights.{process.pid}-0a.partial").touch()
        process.send_signal(signal.SIGKILL)
        process.wait()
        with owned(tmp_path):
            assert not list(tmp_path.glob("*.partial"))


def test_an_owner_that_ends_in_peace_leaves_only_the_lock(tmp_path: Path) -> None:
    for _ in range(2):
        with owned(tmp_path):
            pass
    assert [path.name for path in tmp_path.iterdir()] == [LOCK]


def test_the_same_process_cannot_own_a_folder_twice(tmp_path: Path) -> None:
    with owned(tmp_path), pytest.raises(Taken), owned(tmp_path):
        pytest.fail("two owners")
