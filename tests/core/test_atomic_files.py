"""A file is whole or not there, whoever else writes it and whatever goes wrong."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from robustcnn.core.atomic_files import is_plain_name, remove_partials, write_atomically


def test_many_writers_of_one_file_leave_one_whole_content(tmp_path: Path) -> None:
    contents = [bytes([number]) * 20_000 for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda content: write_atomically(tmp_path / "file", content), contents))
    assert (tmp_path / "file").read_bytes() in contents
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("trouble", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_what_could_not_be_written_leaves_the_old_file_and_nothing_half_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: BaseException
) -> None:
    def refuse(_: int) -> None:
        raise trouble

    write_atomically(tmp_path / "file", b"old")
    monkeypatch.setattr("os.fsync", refuse)
    with pytest.raises(type(trouble)):
        write_atomically(tmp_path / "file", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"old"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows syncs no folders")
def test_the_folder_is_synced_after_the_name_is_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[tuple[bool, bool]] = []

    def note(handle: int) -> None:
        synced.append((stat.S_ISDIR(os.fstat(handle).st_mode), (tmp_path / "file").exists()))

    monkeypatch.setattr("os.fsync", note)
    write_atomically(tmp_path / "file", b"new")
    assert synced == [(False, False), (True, True)]


def test_a_full_disk_names_the_file_and_the_room_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", refuse)
    with pytest.raises(OSError, match=r"No space left on device: 1,234 bytes are needed, [\d,]+ are free: '.*file'"):
        write_atomically(tmp_path / "file", b"x" * 1234)


def test_only_what_dead_processes_left_is_removed(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    left, mine, other = (tmp_path / f"a.json.{who}.partial" for who in (f"{dead.pid}-00ff", f"{os.getpid()}-00ff", "x"))
    for path in (left, mine, other):
        path.touch()
    remove_partials(tmp_path)
    assert [path.exists() for path in (left, mine, other)] == [False, True, True]


@pytest.mark.parametrize("name", ["..", ".", "", "  ", "a/b", "a\\b", "a\nb", "a\x00b", "/etc", "../x"])
def test_a_name_that_leads_elsewhere_or_cannot_be_read_is_none(name: str) -> None:
    assert not is_plain_name(name)
    assert is_plain_name("mnist-smallcnn ü 3.5")
