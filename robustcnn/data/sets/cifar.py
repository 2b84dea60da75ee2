"""CIFAR-10, in any of the forms in which it goes round."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from robustcnn.data.resident import ResidentDataset
from robustcnn.data.sets.npz import read_npz
from robustcnn.data.sets.places import absent, download_command
from robustcnn.data.sets.raw import Array, resident

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
TRAIN = tuple(f"data_batch_{number}" for number in range(1, 6))
SIDE = 32
PIXELS = 3 * SIDE * SIDE
MOST_BYTES = 1 << 26
"""Of a batch: a published one has less than half of it."""

Batch = tuple[Array, Array]


def read_cifar10(root: Path) -> tuple[ResidentDataset, ...]:
    """(training, test) from cifar10.npz, else from the published binary or Python batches."""
    npz, binary, python = root / "cifar10.npz", root / "cifar-10-batches-bin", root / "cifar-10-batches-py"
    if npz.is_file():
        return read_npz(npz)
    if binary.is_dir():
        return _from_batches(binary, ".bin", _binary_batch)
    if python.is_dir():
        return _from_batches(python, "", _python_batch)
    places = f"{binary.name} and {python.name}"
    raise absent(npz, f"so are {places} beside it; get it with {download_command('cifar10', root)}")


def _from_batches(folder: Path, suffix: str, read: Callable[[Path], Batch]) -> tuple[ResidentDataset, ...]:
    parts = []
    for names in (TRAIN, ("test_batch",)):
        batches = [_checked(folder / f"{name}{suffix}", read) for name in names]
        images, labels = (np.concatenate(column) for column in zip(*batches, strict=True))
        parts.append(resident(images.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1), labels, CLASSES))
    return tuple(parts)


def _checked(path: Path, read: Callable[[Path], Batch]) -> Batch:
    cure = f"delete {path.parent.name}, then run {download_command('cifar10', path.parent.parent)}"
    if not path.is_file():
        raise absent(path, cure)
    try:
        images, labels = read(path)
    except ValueError as error:
        raise ValueError(f"{path}: {error}; {cure}") from None
    if labels.min() < 0 or labels.max() >= len(CLASSES):
        raise ValueError(f"{path}: labels must lie in 0..9, found {labels.min()}..{labels.max()}; {cure}")
    return images, labels


def _binary_batch(path: Path) -> Batch:
    """Records of one label byte and 3,072 pixel bytes."""
    _check_size(path)
    content = np.fromfile(path, np.uint8)
    if not len(content) or len(content) % (PIXELS + 1):
        raise ValueError(f"expected a multiple of {PIXELS + 1:,} bytes, found {len(content):,}")
    records = content.reshape(-1, PIXELS + 1)
    return records[:, 1:], records[:, 0]


def _check_size(path: Path) -> None:
    if (size := path.stat().st_size) > MOST_BYTES:
        raise ValueError(f"expected at most {MOST_BYTES:,} bytes, found {size:,}")


def _python_batch(path: Path) -> Batch:
    _check_size(path)
    try:
        with path.open("rb") as file:
            batch = _ArraysOnly(file, encoding="bytes").load()
        images, labels = batch[b"data"], np.array(batch[b"labels"], np.int64)
    # Damaged bytes are instructions too, and raise whatever they lead to.
    except Exception as error:
        what = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"not a pickled dict of `data` and `labels` ({what[:200]})") from None
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.shape != (len(labels), PIXELS):
        raise ValueError(f"expected {len(labels):,} rows of {PIXELS:,} bytes (one a label), found other data")
    if not len(labels):
        raise ValueError("expected 10,000 images, found none")
    return images, labels


class _ArraysOnly(pickle.Unpickler):
    """Rebuilds numpy arrays and nothing else: a pickle may otherwise name any function and have it called."""

    def find_class(self, module: str, name: str) -> Any:
        wanted = f"{module}.{name}".replace("numpy._core", "numpy.core")
        if wanted not in _NEEDED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no CIFAR batch needs; nothing was run")
        return _NEEDED[wanted]


def _empty_array(*_asked: object) -> Array:
    """What the pickle then fills, whatever kind and shape it asked for."""
    return np.ndarray((0,), np.uint8)


_NEEDED = {
    "numpy.core.multiarray._reconstruct": _empty_array,
    "numpy.ndarray": "only ever an argument of _reconstruct",
    "numpy.dtype": np.dtype,
}
