"""Your own data as numpy files: train_images, train_labels, test_images, test_labels, and classes if you like."""

from __future__ import annotations

import zipfile
from collections import Counter
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from robustcnn.core.memory import refuse_too_large
from robustcnn.core.plain_data import shown
from robustcnn.core.runtime import first_line
from robustcnn.data.foreign import MOST_CLASSES
from robustcnn.data.resident import ResidentDataset
from robustcnn.data.sets.raw import Array, resident

KEYS = ("train_images", "train_labels", "test_images", "test_labels")
OTHERS = ("val_images", "val_labels", "classes")
CURE = "write it with numpy.savez(path, train_images=..., ...)"


class Header(NamedTuple):
    """What an array in the file says of itself, before it is read."""

    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]

    @property
    def size(self) -> int:
        """In bytes."""
        count = 1
        for side in self.shape:
            count *= side
        return count * self.dtype.itemsize


def read_npz(path: Path) -> tuple[ResidentDataset, ...]:
    """(training, test), or (training, validation, test) where the file holds val_images and val_labels too.

    A folder of npy files with these names will do as well: they are mapped, and may be larger than memory.
    """
    arrays = _mapped(path) if path.is_dir() else _arrays(path)
    parts = ["train", "val", "test"] if {"val_images", "val_labels"} <= set(arrays) else ["train", "test"]
    try:
        labels = {part: _labels(part, arrays) for part in parts}
        labels, names = _numbered(labels, arrays.get("classes"))
        classes = _classes(names, labels)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return tuple(resident(arrays[f"{part}_images"], labels[part], classes) for part in parts)


def _arrays(path: Path) -> dict[str, Array]:
    """The arrays that are looked for, each checked by its header before it is read."""
    if not path.is_file():
        raise ValueError(f"{path}: not a file; {CURE}")
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path}: not an npz file, or cut short; {CURE}")
    try:
        with zipfile.ZipFile(path) as archive:
            return _read(archive)
    except MemoryError:
        raise ValueError(f"{path}: too large for this machine's memory") from None
    # A damaged archive raises what its zip, its compression or numpy's header stumbles over: a dozen kinds.
    except Exception as error:
        what = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{path}: {what[:300]}") from None


def _mapped(folder: Path) -> dict[str, Array]:
    """The arrays of a folder, which stay where they are until a batch wants some of them."""
    arrays = {}
    for key in (*KEYS, *OTHERS):
        file = folder / f"{key}.npy"
        if not file.is_file():
            if key in KEYS:
                raise ValueError(f"{file}: not a file (write it with numpy.save)")
            continue
        try:
            array = np.load(file, mmap_mode="r" if key.endswith("_images") else None, allow_pickle=False)
        except (ValueError, OSError, EOFError) as error:
            raise ValueError(f"{file}: {first_line(error)[:300]}") from None
        if key.endswith("_images"):
            try:
                _check_images(key, Header(array.shape, array.dtype))
            except ValueError as error:
                raise ValueError(f"{file}: {error}") from None
        arrays[key] = array
    return arrays


def _read(archive: zipfile.ZipFile) -> dict[str, Array]:
    members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
    if missing := [key for key in KEYS if key not in members]:
        raise ValueError(f"{', '.join(missing)} missing; the file has {', '.join(members)[:200] or 'no arrays'}")
    wanted = {key: members[key] for key in (*KEYS, *OTHERS) if key in members}
    headers = {}
    for key, info in wanted.items():
        with archive.open(info) as file:
            headers[key] = _header(key, file, info.file_size)
    for key, header in headers.items():
        if key.endswith("_images"):
            _check_images(key, header)
    refuse_too_large("all arrays together", sum(header.size for header in headers.values()), "store fewer pictures")
    return {key: _array(archive, info) for key, info in wanted.items()}


def _header(key: str, file: IO[bytes], size: int) -> Header:
    """Of an array, which must be as large as the file says."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    if dtype.hasobject:
        raise ValueError(f"{key} holds Python objects (arrays of Python objects are refused, they could run code)")
    header = Header(tuple(int(side) for side in shape), dtype)
    if min(header.shape, default=0) < 0 or file.tell() + header.size != size:
        raise ValueError(f"{key} says it is {dtype} {shape}, which its {size:,} bytes are not; the file is damaged")
    return header


def _array(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Array:
    with archive.open(info) as file:
        found: Array = np.lib.format.read_array(file, allow_pickle=False)
    return found


def _check_images(key: str, images: Header) -> None:
    if images.dtype != np.uint8:
        scale = "(images * 255).round().astype('uint8')" if images.dtype.kind == "f" else "images.astype('uint8')"
        raise ValueError(f"{key} must be uint8 (levels 0..255), got {images.dtype}; store {scale}")
    sides = len(images.shape)
    if sides not in (3, 4) or (sides == 4 and images.shape[3] not in (1, 3)):
        raise ValueError(
            f"{key} must have the shape (N, H, W), (N, H, W, 1) or (N, H, W, 3), got {images.shape}{_guess(images)}"
        )


def _guess(images: Header) -> str:
    if len(images.shape) == 4 and images.shape[1] in (1, 3):
        return "; channels come last: images.transpose(0, 2, 3, 1)"
    if len(images.shape) == 4 and images.shape[3] == 4:
        return "; drop the alpha channel: images[..., :3]"
    return ""


def _labels(part: str, arrays: dict[str, Array]) -> Array:
    labels, count = arrays[f"{part}_labels"], len(arrays[f"{part}_images"])
    flat = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
    if flat.dtype.kind not in "iuU" or flat.ndim != 1:
        raise ValueError(
            f"{part}_labels must be whole numbers or words of shape (N,), got {labels.dtype} {labels.shape}"
        )
    if len(flat) != count or not count:
        raise ValueError(f"{part}_images has {count:,} images, but {part}_labels {len(flat):,} labels")
    return flat


def _numbered(labels: dict[str, Array], names: Array | None) -> tuple[dict[str, Array], Array | None]:
    """Words as numbers: their places among the classes, which without names are the words in the order of letters."""
    words = {part: found for part, found in labels.items() if found.dtype.kind == "U"}
    if not words:
        return labels, names
    if len(words) < len(labels):
        number = next(part for part in labels if part not in words)
        raise ValueError(f"{next(iter(words))}_labels are words and {number}_labels numbers; use one of the two")
    names = np.unique(np.concatenate(list(words.values()))) if names is None else names.ravel()
    places = {str(name): place for place, name in enumerate(names)}
    for part, found in words.items():
        if unknown := sorted(set(map(str, found)) - set(places)):
            raise ValueError(f"{part}_labels hold {shown(unknown[0])}, which is none of the {len(names)} classes")
    return {part: np.array([places[str(word)] for word in found]) for part, found in words.items()}, names


def _classes(names: Array | None, labels: dict[str, Array]) -> tuple[str, ...]:
    """The names given, else the numbers up to the highest label."""
    highest = max(int(part.max()) for part in labels.values())
    if max(highest + 1, 0 if names is None else names.size) > MOST_CLASSES:
        raise ValueError(
            f"labels must lie in 0..{MOST_CLASSES - 1:,} and name one class each, got labels up to {highest:,} and "
            f"{0 if names is None else names.size:,} class names (number the classes 0, 1, 2 ...)"
        )
    classes = tuple(map(str, range(highest + 1) if names is None else names.ravel()))
    if doubled := [name for name, count in Counter(classes).items() if count > 1]:
        raise ValueError(
            f"classes must have different names, got {shown(doubled[0])} {classes.count(doubled[0])} times"
        )
    if len(classes) < 2:
        raise ValueError(f"train_labels and test_labels must hold at least 2 classes, found only {', '.join(classes)}")
    for part, found in labels.items():
        if found.min() < 0 or found.max() >= len(classes):
            wrong = int(found.min() if found.min() < 0 else found.max())
            raise ValueError(f"{part}_labels must lie in 0..{len(classes) - 1} ({len(classes)} classes), found {wrong}")
    return classes
