"""Your own data as one numpy file: train_images, train_labels, test_images, test_labels, and classes if you like."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from robustcnn.data.resident import ResidentDataset
from robustcnn.data.sets.raw import Array, resident

KEYS = ("train_images", "train_labels", "test_images", "test_labels")


def read_npz(path: Path) -> tuple[ResidentDataset, ...]:
    """(training, test), or (training, validation, test) where the file holds val_images and val_labels too."""
    arrays = _arrays(path)
    if missing := [key for key in KEYS if key not in arrays]:
        raise ValueError(f"{path}: {', '.join(missing)} missing; the file has {', '.join(arrays) or 'no arrays'}")
    parts = ["train", "val", "test"] if {"val_images", "val_labels"} <= set(arrays) else ["train", "test"]
    try:
        for part in parts:
            _check_images(f"{part}_images", arrays[f"{part}_images"])
        labels = {part: _labels(part, arrays) for part in parts}
        classes = _classes(arrays.get("classes"), labels)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return tuple(resident(arrays[f"{part}_images"], labels[part], classes) for part in parts)


def _arrays(path: Path) -> dict[str, Array]:
    if not zipfile.is_zipfile(path):
        raise ValueError(
            f"{path}: not an npz file, or cut short; write it with numpy.savez(path, train_images=..., ...)"
        )
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}
    except (ValueError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: {error} (arrays of Python objects are refused, they could run code)") from None


def _check_images(key: str, images: Array) -> None:
    if images.dtype != np.uint8:
        scale = "(images * 255).round().astype('uint8')" if images.dtype.kind == "f" else "images.astype('uint8')"
        raise ValueError(f"{key} must be uint8 (levels 0..255), got {images.dtype}; store {scale}")
    if images.ndim not in (3, 4) or (images.ndim == 4 and images.shape[3] not in (1, 3)):
        raise ValueError(
            f"{key} must have the shape (N, H, W), (N, H, W, 1) or (N, H, W, 3), got {images.shape}{_guess(images)}"
        )


def _guess(images: Array) -> str:
    if images.ndim == 4 and images.shape[1] in (1, 3):
        return "; channels come last: images.transpose(0, 2, 3, 1)"
    if images.ndim == 4 and images.shape[3] == 4:
        return "; drop the alpha channel: images[..., :3]"
    return ""


def _labels(part: str, arrays: dict[str, Array]) -> Array:
    labels, count = arrays[f"{part}_labels"], len(arrays[f"{part}_images"])
    flat = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
    if flat.dtype.kind not in "iu" or flat.ndim != 1:
        raise ValueError(f"{part}_labels must be whole numbers of shape (N,), got {labels.dtype} {labels.shape}")
    if len(flat) != count or not count:
        raise ValueError(f"{part}_images has {count:,} images, but {part}_labels {len(flat):,} labels")
    return flat


def _classes(names: Array | None, labels: dict[str, Array]) -> tuple[str, ...]:
    """The names given, else the numbers up to the highest label."""
    highest = max(int(part.max()) for part in labels.values())
    classes = tuple(map(str, range(highest + 1) if names is None else names.ravel()))
    if len(classes) < 2:
        raise ValueError(f"train_labels and test_labels must hold at least 2 classes, found only {', '.join(classes)}")
    for part, found in labels.items():
        if found.min() < 0 or found.max() >= len(classes):
            wrong = int(found.min() if found.min() < 0 else found.max())
            raise ValueError(f"{part}_labels must lie in 0..{len(classes) - 1} ({len(classes)} classes), found {wrong}")
    return classes
