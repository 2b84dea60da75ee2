"""Your own pictures: a folder with one folder a class."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np

from robustcnn.core.memory import refuse_too_large
from robustcnn.core.runtime import seeded
from robustcnn.data.resident import ResidentDataset
from robustcnn.data.sets.picture import Framing, framed, read_picture
from robustcnn.data.sets.raw import Array, resident

LITTER = {"thumbs.db", "desktop.ini", "__macosx"}
PARTS = ("train", "validation", "test")


def read_folder(path: Path, *, size: int = 32, framing: Framing = "crop") -> tuple[ResidentDataset, ...]:
    """The parts in train/, validation/ and test/; without these, a fifth of each class tests, always the same one."""
    parts = [path / part for part in PARTS if (path / part).is_dir()]
    if path / "train" not in parts or path / "test" not in parts:
        return _part(path, _classes(path), size=size, framing=framing).split(0.2, generator=seeded(0))
    classes = _classes(path / "train")
    for part in parts[1:]:
        if odd := set(_classes(part)) ^ set(classes):
            raise ValueError(f"{part} and {path / 'train'} must have the same classes; only one has {_list(odd)}")
    return tuple(_part(part, classes, size=size, framing=framing) for part in parts)


def read_classes(path: Path, *, size: int = 32, framing: Framing = "crop") -> ResidentDataset:
    """All pictures as one part."""
    return _part(path, _classes(path), size=size, framing=framing)


def _classes(folder: Path) -> tuple[str, ...]:
    if not folder.is_dir():
        raise ValueError(f"{folder} must be a folder with one folder a class, found a file")
    classes = tuple(entry.name for entry in _entries(folder) if entry.is_dir())
    if len(classes) < 2:
        deeper = [name for name in classes if any(entry.is_dir() for entry in _entries(folder / name))]
        cure = f" (did you mean folder:{folder / deeper[0]}?)" if deeper else ""
        raise ValueError(f"{folder} must hold one folder a class, at least 2, found {_list(classes)}{cure}")
    return classes


def _part(folder: Path, classes: tuple[str, ...], *, size: int, framing: Framing) -> ResidentDataset:
    files = [list(_entries(folder / name)) for name in classes]
    if empty := [str(folder / name) for name, found in zip(classes, files, strict=True) if not found]:
        raise ValueError(f"{', '.join(empty)}: no pictures there; add some or remove the folder")
    count = sum(map(len, files))
    refuse_too_large(
        f"{count:,} pictures of {size} pixels a side", 3 * count * size**2, "ask for a smaller --data.size"
    )
    with ThreadPoolExecutor() as pool:
        pictures = list(pool.map(partial(_picture, size=size, framing=framing), chain.from_iterable(files)))
    labels = np.repeat(np.arange(len(classes)), [len(found) for found in files])
    return resident(np.stack(pictures), labels, classes)


def _picture(path: Path, *, size: int, framing: Framing) -> Array:
    """RGB pixels (size, size, 3)."""
    return np.asarray(framed(read_picture(path, around=size), size, framing))


def _entries(folder: Path) -> Iterator[Path]:
    """What a person put there, by name: not what the desktop left behind."""
    for entry in sorted(folder.iterdir()):
        if not entry.name.startswith(".") and entry.name.lower() not in LITTER:
            yield entry


def _list(names: tuple[str, ...] | set[str]) -> str:
    return ", ".join(sorted(names)) or "none"
