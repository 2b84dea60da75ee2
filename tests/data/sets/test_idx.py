from __future__ import annotations

import gzip
import re
import struct
from pathlib import Path

import numpy as np
import pytest

from robustcnn.data.sets.idx import CLASSES, read_idx, read_idx_set

COMMAND = "`robustcnn data --data.name mnist --data.download`"


def idx(array: np.ndarray) -> bytes:
    return bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


@pytest.fixture
def raw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small MNIST in the data root: 20 images to train, 10 to test."""
    monkeypatch.setenv("ROBUSTCNN_DATA", str(tmp_path))
    folder = tmp_path / "MNIST" / "raw"
    folder.mkdir(parents=True)
    generator = np.random.default_rng(0)
    for prefix, count in (("train", 20), ("t10k", 10)):
        images = generator.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        (folder / f"{prefix}-images-idx3-ubyte").write_bytes(idx(images))
        (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(idx(np.arange(count, dtype=np.uint8) % 10))
    return folder


def read(raw: Path) -> None:
    read_idx_set("mnist", raw.parents[1])


def test_images_and_labels_come_back_as_written(raw: Path) -> None:
    train, test = read_idx_set("mnist", raw.parents[1])
    images = np.random.default_rng(0).integers(0, 256, (20, 28, 28), dtype=np.uint8)
    assert np.array_equal(train.images[:, 0].numpy(), images)
    assert train.labels.tolist() == [*range(10), *range(10)]
    assert len(test) == 10
    assert train.classes == tuple("0123456789")


def test_packed_files_are_read_as_they_are(raw: Path) -> None:
    before = [part.fingerprint for part in read_idx_set("mnist", raw.parents[1])]
    for path in list(raw.iterdir()):
        (raw / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    assert [part.fingerprint for part in read_idx_set("mnist", raw.parents[1])] == before


def test_fashion_has_ten_named_classes() -> None:
    assert len(CLASSES["fashion-mnist"]) == len(set(CLASSES["fashion-mnist"])) == 10


def test_an_absent_file_is_named_with_the_command_that_gets_it(raw: Path) -> None:
    path = raw / "t10k-labels-idx1-ubyte"
    path.unlink()
    with pytest.raises(FileNotFoundError, match=re.escape(f"{path} is absent; get it with {COMMAND}")):
        read(raw)


def test_the_command_names_a_root_that_is_not_the_usual_one(raw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ROBUSTCNN_DATA")
    (raw / "train-images-idx3-ubyte").unlink()
    with pytest.raises(FileNotFoundError, match=f"--data.root {raw.parents[1]} --data.download"):
        read(raw)


@pytest.mark.parametrize("found", [100, 16, 10])
def test_a_truncated_file_says_expected_and_found_bytes(raw: Path, found: int) -> None:
    path = raw / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:found])
    expected = "15,696" if found >= 16 else r"[\d,]+"
    cure = f"; delete it, then run {COMMAND}"
    with pytest.raises(ValueError, match=f"{path}: expected {expected} bytes, found {found}{re.escape(cure)}"):
        read(raw)


def test_a_file_with_too_much_in_it_is_refused(raw: Path) -> None:
    path = raw / "train-labels-idx1-ubyte"
    path.write_bytes(path.read_bytes() + b"more")
    with pytest.raises(ValueError, match=f"{path}: expected 28 bytes, found 32"):
        read(raw)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"\n<!DOCTYPE html>", r"0a 3c 21 44 \(a web page\?\)"),
        (idx(np.zeros(3, np.uint8)), "00 00 08 01"),
        (b"", "nothing"),
    ],
)
def test_a_wrong_magic_number_says_expected_and_found_bytes(raw: Path, content: bytes, found: str) -> None:
    path = raw / "train-images-idx3-ubyte"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"{path}: expected 3-dim.* begins with 00 00 08 03, found {found}; delete it"):
        read(raw)


@pytest.mark.parametrize(
    "content",
    [b"no gzip at all", gzip.compress(idx(np.zeros(999, np.uint8)))[:-9], gzip.compress(b"y")[:12]],
    ids=["no gzip", "cut near the end", "cut near the start"],
)
def test_a_corrupt_gzip_file_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file.gz").write_bytes(content)
    with pytest.raises(ValueError, match=r"file.gz: corrupt gzip file \(.+\); delete it, then run CURE"):
        read_idx(tmp_path / "file", dimensions=1, command="CURE")


def test_labels_must_be_as_many_as_images(raw: Path) -> None:
    (raw / "train-labels-idx1-ubyte").write_bytes(idx(np.zeros(19, np.uint8)))
    with pytest.raises(ValueError, match="labels-idx1-ubyte has 19 labels, but train-images-idx3-ubyte has 20 images"):
        read(raw)


def test_labels_must_be_digits(raw: Path) -> None:
    (raw / "t10k-labels-idx1-ubyte").write_bytes(idx(np.full(10, 11, np.uint8)))
    with pytest.raises(ValueError, match=r"t10k-labels-idx1-ubyte: labels must lie in 0\.\.9, found 11"):
        read(raw)
