from __future__ import annotations

import os
import pickle
import re
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from robustcnn.data.sets.cifar import CLASSES, TRAIN, read_cifar10

IMAGES = np.random.default_rng(0).integers(0, 256, (60, 3, 32, 32), dtype=np.uint8)
LABELS = (np.arange(60) % 10).astype(np.uint8)
NAMES = (*TRAIN, "test_batch")


def text(words: bytes) -> bytes:
    """A string as Python 2 pickled it, which is how CIFAR-10 was published."""
    return b"T" + struct.pack("<i", len(words)) + words


def published(images: np.ndarray, labels: np.ndarray) -> bytes:
    """The pickle of {'labels': [...], 'data': array} as written by Python 2 and the numpy of 2009."""
    rows = images.reshape(len(images), int(np.prod(images.shape[1:])))
    shape = b"(" + b"".join(b"J" + struct.pack("<i", side) for side in rows.shape) + b"t"
    empty = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00t" + text(b"b") + b"tR"
    kind = b"cnumpy\ndtype\n(" + text(b"u1") + b"K\x00K\x01tR(K\x03" + text(b"|") + b"NNNJ\xff\xff\xff\xff"
    kind += b"J\xff\xff\xff\xffK\x00tb"
    data = empty + b"(K\x01" + shape + kind + b"\x89" + text(rows.tobytes()) + b"tb"
    numbers = b"](" + b"".join(b"K" + bytes([label]) for label in labels.tolist()) + b"e"
    return b"\x80\x02}(" + text(b"labels") + numbers + text(b"data") + data + b"u."


def binary(images: np.ndarray, labels: np.ndarray) -> bytes:
    return np.column_stack([labels[:, None], images.reshape(len(images), -1)]).astype(np.uint8).tobytes()


def write(root: Path, form: str) -> Path:
    """Six batches of ten images."""
    folder = root / f"cifar-10-batches-{form}"
    folder.mkdir()
    for number, name in enumerate(NAMES):
        part = slice(10 * number, 10 * number + 10)
        if form == "py":
            (folder / name).write_bytes(published(IMAGES[part], LABELS[part]))
        else:
            (folder / f"{name}.bin").write_bytes(binary(IMAGES[part], LABELS[part]))
    return folder


def write_npz(root: Path) -> None:
    images = IMAGES.transpose(0, 2, 3, 1)
    np.savez(
        root / "cifar10.npz",
        train_images=images[:50],
        train_labels=LABELS[:50],
        test_images=images[50:],
        test_labels=LABELS[50:],
        classes=np.array(CLASSES),
    )


FORMS: dict[str, Callable[[Path], object]] = {
    "npz": write_npz,
    "bin": lambda root: write(root, "bin"),
    "py": lambda root: write(root, "py"),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_pictures(tmp_path: Path, form: str) -> None:
    FORMS[form](tmp_path)
    train, test = read_cifar10(tmp_path)
    assert np.array_equal(train.images.numpy(), IMAGES[:50])
    assert np.array_equal(test.images.numpy(), IMAGES[50:])
    assert train.labels.tolist() == LABELS[:50].tolist()
    assert train.classes == CLASSES


class Trap:
    """Makes a folder when a careless reader unpickles it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_that_asks_for_more_than_arrays_is_refused_and_not_run(tmp_path: Path, protocol: int) -> None:
    folder, sprung = write(tmp_path, "py"), tmp_path / "sprung"
    (folder / "data_batch_2").write_bytes(pickle.dumps(Trap(sprung), protocol))
    with pytest.raises(
        ValueError, match=r"data_batch_2: .*\(it asks for (posix|nt)\.mkdir, which no CIFAR batch needs"
    ):
        read_cifar10(tmp_path)
    assert not sprung.exists()
    pickle.loads((folder / "data_batch_2").read_bytes())
    assert sprung.exists(), "the trap must be a real one"


@pytest.mark.parametrize(
    "asked", ["builtins.eval", "numpy.load", "numpy.core.multiarray.fromfile", "copyreg._reconstructor"]
)
def test_neither_builtins_nor_other_parts_of_numpy_are_reachable(tmp_path: Path, asked: str) -> None:
    module, _, name = asked.rpartition(".")
    (write(tmp_path, "py") / "data_batch_1").write_bytes(f"c{module}\n{name}\n(S'1'\ntR.".encode())
    with pytest.raises(
        ValueError, match=f"it asks for {re.escape(asked)}, which no CIFAR batch needs; nothing was run"
    ):
        read_cifar10(tmp_path)


BAD_PICKLES = {
    "cut short": (published(IMAGES[:10], LABELS[:10])[:-500], "not a pickled dict of `data` and `labels`"),
    "empty": (b"", "not a pickled dict of `data` and `labels`"),
    "a web page": (b"<html>", "not a pickled dict of `data` and `labels`"),
    "no dict": (pickle.dumps([1, 2], 2), "not a pickled dict of `data` and `labels`"),
    "no data": (pickle.dumps({}, 2), "not a pickled dict of `data` and `labels`"),
    "fewer labels": (published(IMAGES[:10], LABELS[:9]), "expected 9 rows of 3,072 bytes"),
    "another shape": (published(IMAGES[:10, :2], LABELS[:10]), "expected 10 rows of 3,072 bytes"),
    "no pictures": (published(IMAGES[:0], LABELS[:0]), "expected 10,000 images, found none"),
    "label 10": (published(IMAGES[:10], LABELS[:10] + 1), r"labels must lie in 0\.\.9, found 1\.\.10"),
}


@pytest.mark.parametrize("name", BAD_PICKLES)
def test_a_damaged_python_batch_is_named_with_a_cure(tmp_path: Path, name: str) -> None:
    content, problem = BAD_PICKLES[name]
    path = write(tmp_path, "py") / "test_batch"
    path.write_bytes(content)
    cure = (
        f"; delete cifar-10-batches-py, then run `robustcnn data --data.name cifar10 --data.root {tmp_path} --data.down"
    )
    with pytest.raises(ValueError, match=f"{path}: {problem}.*{re.escape(cure)}"):
        read_cifar10(tmp_path)


@pytest.mark.parametrize("size", [0, 30729])
def test_a_damaged_binary_batch_says_expected_and_found_bytes(tmp_path: Path, size: int) -> None:
    path = write(tmp_path, "bin") / "data_batch_3.bin"
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ValueError, match=f"{path}: expected a multiple of 3,073 bytes, found {size:,}; delete"):
        read_cifar10(tmp_path)


def test_binary_labels_must_lie_in_0_to_9(tmp_path: Path) -> None:
    path = write(tmp_path, "bin") / "data_batch_3.bin"
    path.write_bytes(binary(IMAGES[:10], LABELS[:10] + 3))
    with pytest.raises(ValueError, match=rf"{path}: labels must lie in 0\.\.9, found 3\.\.12"):
        read_cifar10(tmp_path)


def test_an_absent_batch_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, "bin") / "test_batch.bin"
    path.unlink()
    with pytest.raises(FileNotFoundError, match=f"{path} is absent; delete cifar-10-batches-bin, then run"):
        read_cifar10(tmp_path)


def test_an_absent_set_is_named_with_the_command_that_gets_it(tmp_path: Path) -> None:
    command = f"`robustcnn data --data.name cifar10 --data.root {tmp_path} --data.download`"
    with pytest.raises(FileNotFoundError, match=f"cifar10.npz is absent; .* get it with {command}"):
        read_cifar10(tmp_path)
