"""What an evaluation holds in memory does not grow with the number of its examples."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import flat_memory
import pytest
import torch

from robustcnn.core import roomy
from robustcnn.core.roomy import filled, rest


def peak(count: int, folder: Path, *options: str) -> int:
    """Kilobytes that a process of its own took at most."""
    command = [sys.executable, flat_memory.__file__, str(count), str(folder), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=True)
    kilobytes, robust = map(int, done.stdout.split())
    assert 0 < robust < count
    return kilobytes


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
def test_fifty_thousand_examples_take_no_more_memory_than_a_thousand(tmp_path: Path) -> None:
    few, many = peak(1000, tmp_path / "few"), peak(50_000, tmp_path / "many")
    if many >= 1.1 * few:
        # Other work on the machine only adds.
        many = min(many, peak(50_000, tmp_path / "again"))
    assert many < 1.1 * few, f"{few} kB and {many} kB"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
def test_what_is_proven_of_eight_thousand_examples_takes_no_more_memory_than_of_a_thousand(tmp_path: Path) -> None:
    few, many = (peak(count, tmp_path / str(count), "crown") for count in (1000, 8000))
    assert many < 1.1 * few, f"{few} kB and {many} kB"


def test_what_lies_in_a_file_is_what_was_written_and_outlives_its_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roomy, "LARGE", 1)
    source = torch.rand(1300, 2, 3)
    kept = filled(source.shape, lambda rows: source[rows], tmp_path)
    rest(kept)
    assert torch.equal(kept, source)
    kept[7] = 5.0
    rest(kept)
    assert (kept[7] == 5).all()
    # It has no name that could be left behind.
    assert not list(tmp_path.iterdir())


def test_a_disk_without_room_is_named_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    with pytest.raises(OSError, match=r"No space left on device: 400,000,000 bytes are needed") as caught:
        roomy.roomy((10_000, 10_000), tmp_path)
    assert caught.value.filename == str(tmp_path)
