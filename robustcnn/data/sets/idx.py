"""MNIST and Fashion-MNIST, from the idx files in which they are published (torchvision's folder layout)."""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np

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
    content = _content(path, command)
    magic, start = bytes((0, 0, 8, dimensions)), 4 + 4 * dimensions
    cure = f"delete it, then run {command}"
    if content[:4] != magic:
        page = " (a web page?)" if content.lstrip().startswith(b"<") else ""
        raise ValueError(
            f"{path}: expected {dimensions}-dimensional idx data, which begins with {magic.hex(' ')}, "
            f"found {content[:4].hex(' ') or 'nothing'}{page}; {cure}"
        )
    shape = struct.unpack_from(f">{dimensions}I", content.ljust(start, b"\0"), 4)
    expected = start + int(np.prod(shape, dtype=object))
    if len(content) != expected or len(content) < start:
        raise ValueError(f"{path}: expected {expected:,} bytes, found {len(content):,}; {cure}")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _content(path: Path, command: str) -> bytes:
    packed = path.with_name(path.name + ".gz")
    if path.is_file():
        return path.read_bytes()
    if not packed.is_file():
        raise absent(path, f"get it with {command}")
    try:
        return gzip.decompress(packed.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{packed}: corrupt gzip file ({error}); delete it, then run {command}") from None
