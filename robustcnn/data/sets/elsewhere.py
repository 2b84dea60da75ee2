"""Data sets of other libraries and of the user's own code: torchvision:NAME, hf:PATH, module:function."""

from __future__ import annotations

import io
import json
import re
import sys
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from robustcnn.core.plain_data import shown
from robustcnn.core.runtime import first_line
from robustcnn.data.foreign import as_tensor
from robustcnn.data.resident import ResidentDataset
from robustcnn.data.sets.picture import Framing, framed

TESTS = ("test", "validation", "val", "valid")
ARROW = b"ARROW1"
"""What an arrow file begins with that is no stream."""
SPLITS = (("train", "trainval", "train-standard"), ("test", "val", "valid"))
"""How torchvision's classes call their training and their test parts."""


def read_torchvision(name: str, root: Path, *, size: int | None, framing: Framing, download: bool) -> tuple[Any, ...]:
    """(training, test) of one of torchvision's classification sets, from the root."""
    from torchvision import datasets

    kind = getattr(datasets, name, None)
    if kind is None or name.startswith("_") or not isinstance(kind, type):
        raise ValueError(f"torchvision has no data set {name!r} (write its class, such as torchvision:SVHN)")
    options = signature(kind).parameters
    extra: dict[str, Any] = {"download": download} if "download" in options else {}
    where = (
        root if name in ("MNIST", "FashionMNIST", "KMNIST", "EMNIST", "QMNIST", "CIFAR10", "CIFAR100") else root / name
    )
    if name == "EMNIST":
        extra |= {"split": "balanced"}
    parts = []
    for part in (0, 1):
        found = _first_that_exists(kind, str(where), _ways(name, options, part), extra)
        parts.append(_of_pairs(found, size, framing, name))
    return tuple(parts)


def _ways(name: str, options: Any, part: int) -> list[dict[str, Any]]:
    """What may be written for the training part (0) or the test part (1)."""
    if "train" in options or name == "EMNIST":
        return [{"train": part == 0}]
    if "split" in options:
        return [{"split": word} for word in SPLITS[part]]
    raise ValueError(f"torchvision:{name} does not tell training from test pictures (save it as folder: or npz:)")


def _first_that_exists(kind: Any, where: str, ways: list[dict[str, Any]], extra: dict[str, Any]) -> Any:
    """The part under the first name that this class knows."""
    for way in ways:
        try:
            return kind(where, **way, **extra)
        except RuntimeError as problem:
            raise FileNotFoundError(
                f"torchvision:{kind.__name__} is absent from {where}: {first_line(problem)} (--data.download fetches "
                "it)"
            ) from None
        except ValueError as problem:
            if way == ways[-1] or "nknown value" not in str(problem):
                raise ValueError(f"torchvision:{kind.__name__} refuses: {first_line(problem)}") from None
    raise AssertionError("there is a way")


def _of_pairs(pairs: Any, size: int | None, framing: Framing, name: str) -> ResidentDataset:
    pictures, labels = [], []
    for index in range(len(pairs)):
        picture, label = pairs[index][:2]
        pictures.append(picture)
        try:
            labels.append(int(label))
        except (RuntimeError, TypeError, ValueError):
            raise ValueError(f"torchvision:{name} must have one class a picture, got {shown(label)}") from None
    return _of_pictures(pictures, labels, size, framing, getattr(pairs, "classes", None))


def _of_pictures(
    pictures: list[Any], labels: list[Any], size: int | None, framing: Framing, classes: Any
) -> ResidentDataset:
    """Of Pillow's pictures; brought to one size where they have several, or where one is asked for."""
    if size is None and len({each.size for each in pictures}) > 1:
        size = 32
    if any(each.mode not in ("L", "RGB") for each in pictures) or len({each.mode for each in pictures}) > 1:
        pictures = [each.convert("RGB") for each in pictures]
    if size is not None:
        pictures = [framed(each, size, framing) for each in pictures]
    images = np.stack([as_tensor(each).numpy() for each in pictures])
    data: ResidentDataset = ResidentDataset.from_arrays(images, labels, classes=classes, layout="NCHW")
    return data


def read_hf(path: Path, *, size: int | None, framing: Framing) -> tuple[ResidentDataset, ...]:
    """(training, test) of a local copy: parquet or arrow files with `train` and `test` in their names or folders'.

    Without a test part, a fifth of each class tests.
    """
    files = sorted(path.rglob("*.parquet")) + sorted(path.rglob("*.arrow")) if path.is_dir() else [path]
    if not files:
        raise ValueError(f"{path} holds no .parquet or .arrow files")
    parts: dict[str, list[Path]] = {}
    for file in files:
        words = re.split("[^a-z]+", str(file.relative_to(path) if path.is_dir() else file.name).lower())
        parts.setdefault("test" if set(words) & set(TESTS) else "train", []).append(file)
    read = {part: _of_tables(found, size, framing) for part, found in parts.items()}
    if set(read) == {"train", "test"}:
        return read["train"], read["test"]
    from robustcnn.core.runtime import seeded

    return next(iter(read.values())).split(0.2, generator=seeded(0))


def _of_tables(files: list[Path], size: int | None, framing: Framing) -> ResidentDataset:
    pictures: list[Any] = []
    labels: list[Any] = []
    classes: Any = None
    for file in files:
        table = _table(file)
        names = table.column_names
        image = next((name for name in ("image", "img", "picture") if name in names), None)
        label = next((name for name in ("label", "labels", "fine_label", "class") if name in names), None)
        if image is None or label is None:
            raise ValueError(f"{file} must have the columns image and label, has {', '.join(names)}")
        pictures += [_picture(each, file) for each in table.column(image).to_pylist()]
        labels += table.column(label).to_pylist()
        classes = classes or _names(table.schema.metadata, label)
    return _of_pictures(pictures, labels, size, framing, classes)


def _table(file: Path) -> Any:
    try:
        import pyarrow as arrow
        import pyarrow.parquet as parquet
    except ImportError:
        raise ValueError("hf: needs pyarrow, which is not installed (pip install 'robustcnn[hf]')") from None
    try:
        if file.suffix == ".parquet":
            return parquet.read_table(file)
        with arrow.memory_map(str(file)) as source:
            whole = source.read(len(ARROW)) == ARROW
            source.seek(0)
            return (arrow.ipc.open_file if whole else arrow.ipc.open_stream)(source).read_all()
    except (arrow.ArrowException, OSError) as problem:
        raise ValueError(f"{file} is no parquet or arrow file: {first_line(problem)}") from None


def _picture(cell: Any, file: Path) -> Any:
    content = cell.get("bytes") if isinstance(cell, dict) else cell
    if not isinstance(content, bytes):
        raise ValueError(f"{file}: pictures must be held as the bytes of image files, got {type(content).__name__}")
    try:
        picture = Image.open(io.BytesIO(content))
        return picture if picture.mode in ("L", "RGB") else picture.convert("RGB")
    except OSError as problem:
        raise ValueError(f"{file}: a picture cannot be read: {problem}") from None


def _names(metadata: Any, label: str) -> list[str] | None:
    try:
        names: list[str] = json.loads(metadata[b"huggingface"])["info"]["features"][label]["names"]
        return names
    except (KeyError, TypeError, ValueError):
        return None


def read_function(text: str) -> tuple[ResidentDataset, ...]:
    """What the user's function returns: two or three parts, each a ResidentDataset, a PyTorch data set, or arrays."""
    module, _, name = text.partition(":")
    sys.path.insert(0, "")
    try:
        function: Any = import_module(module)
        for part in name.split("."):
            function = getattr(function, part)
    except (ImportError, AttributeError) as problem:
        raise ValueError(f"cannot find {text}: {problem} (write package.module:function)") from None
    finally:
        sys.path.remove("")
    given = function()
    if not isinstance(given, tuple | list) or len(given) not in (2, 3):
        raise ValueError(
            f"{text} must return (training, test) or (training, validation, test), got {type(given).__name__}"
        )
    return tuple(_part(each, text) for each in given)


def _part(given: Any, text: str) -> ResidentDataset:
    if isinstance(given, ResidentDataset):
        return given
    if isinstance(given, tuple | list) and len(given) in (2, 3) and hasattr(given[0], "shape"):
        return ResidentDataset.from_arrays(*given[:2], classes=given[2] if len(given) == 3 else None)
    if hasattr(given, "__getitem__") and hasattr(given, "__len__"):
        return ResidentDataset.from_torch(given)
    raise ValueError(
        f"{text}: a part must be a ResidentDataset, a PyTorch data set or (images, labels), got {type(given).__name__}"
    )
