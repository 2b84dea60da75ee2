"""MNIST and Fashion-MNIST, from the idx files in which they are published (torchvision's folder layout)."""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path
from typing import IO

import numpy as np

from robustcnn.core.memory import refuse_too_large
from robustcnn.data.resident import ResidentDataset
from robustcnn.data.sets.places import absent, download_command
from robustcnn.data.sets.raw import Array, resident

FOLDERS = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST"}
CLASSES = {
    "mnist": tuple("0123456789"),
    "fashion-mnist": (
        "t-shirt",
        "trouser",
        "pullover",
        "dress",
        "coat",
        "sandal",
        "shirt",
        "sneaker",
        "bag",
        "ankle boot",
    ),
}


def read_idx_set(name: str, root: Path) -> tuple[ResidentDataset, ...]:
    """(training, test) of `mnist` or `fashion-mnist`."""
    command = download_command(name, root)
    return tuple(
        _part(root / FOLDERS[name] / "raw", prefix, CLASSES[name], command=command) for prefix in ("train", "t10k")
    )


def _part(folder: Path, prefix: str, classes: tuple[str, ...], *, command: str) -> ResidentDataset:
    images_path, labels_path = (folder / f"{prefix}-{kind}-ubyte" for kind in ("images-idx3", "labels-idx1"))
    images = read_idx(images_path, dimensions=3, command=command)
    labels = read_idx(labels_path, dimensions=1, command=command)
    if len(images) != len(labels):
        raise ValueError(f"{labels_path} has {len(labels):,} labels, but {images_path.name} has {len(images):,} images")
    if len(labels) and labels.max() >= len(classes):
        raise ValueError(f"{labels_path}: labels must lie in 0..{len(classes) - 1}, found {labels.max()}")
    return resident(images, labels, classes)


def read_idx(path: Path, *, dimensions: int, command: str) -> Array:
    """A uint8 array from an idx file, or from the same file with .gz behind its name."""
    packed = path.with_name(path.name + ".gz")
    if path.is_file():
        with path.open("rb") as file:
            return _array(file, path, dimensions, command)
    if not packed.is_file():
        raise absent(path, f"get it with {command}")
    try:
        with gzip.open(packed) as unpacked:
            return _array(unpacked, path, dimensions, command)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{packed}: corrupt gzip file ({error}); delete it, then run {command}") from None


def _array(file: IO[bytes] | gzip.GzipFile, path: Path, dimensions: int, command: str) -> Array:
    """What the file's head announces, and one byte more at most: a file may unpack to any size."""
    magic, start = bytes((0, 0, 8, dimensions)), 4 + 4 * dimensions
    head, cure = file.read(start), f"delete it, then run {command}"
    if head[:4] != magic:
        page = " (a web page?)" if head.lstrip().startswith(b"<") else ""
        raise ValueError(
            f"{path}: expected {dimensions}-dimensional idx data, which begins with {magic.hex(' ')}, "
            f"found {head[:4].hex(' ') or 'nothing'}{page}; {cure}"
        )
    shape = struct.unpack_from(f">{dimensions}I", head.ljust(start, b"\0"), 4)
    expected = int(np.prod(shape, dtype=object))
    refuse_too_large(f"{path}, as its head says,", expected, cure)
    content = head + _at_most(file, expected + 1)
    if len(content) != start + expected:
        # A packed file's size is only known when all of it was read, which may never end.
        more = f"{path.stat().st_size:,}" if path.is_file() else "more"
        found = f"{len(content):,}" if len(content) < start + expected else more
        raise ValueError(f"{path}: expected {start + expected:,} bytes, found {found}; {cure}")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _at_most(file: IO[bytes] | gzip.GzipFile, size: int) -> bytes:
    """So many bytes, or fewer where there are fewer; never more memory than what is there."""
    pieces = []
    while size and (piece := file.read(min(size, 1 << 24))):
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)
