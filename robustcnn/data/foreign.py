"""Pictures and labels as other programs hold them: arrays, tensors, PyTorch's data sets, files of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from robustcnn.core.plain_data import shown

Layout = Literal["auto", "NCHW", "NHWC"]
CHANNELS = (1, 3)
MOST_CLASSES = 65_536
"""More than any data set of pictures has: a label beyond is a mistake, and one name a class is too much to make."""


def pixels_of(images: Any, layout: Layout = "auto") -> Tensor:
    """uint8 levels, or float32 in [0, 1], of shape (N, C, H, W); a copy, so that nobody's memory is shared."""
    given = images.detach() if isinstance(images, Tensor) else _tensor(np.array(one_array(images)))
    if given.ndim == 3:
        given = given[:, None]
    elif given.ndim == 4 and _channels_last(given, layout):
        given = given.permute(0, 3, 1, 2)
    if given.ndim != 4 or given.shape[1] not in CHANNELS:
        raise ValueError(
            "images must be (N, H, W), (N, C, H, W) or (N, H, W, C) with 1 or 3 channels, got "
            f"{tuple(images.shape) if hasattr(images, 'shape') else tuple(given.shape)}"
        )
    return _in_our_units(given).clone(memory_format=torch.contiguous_format)


def _tensor(array: Any) -> Tensor:
    if array.dtype.kind not in "iufb":
        raise ValueError(f"images must hold numbers, got {array.dtype}")
    return torch.from_numpy(array)


def one_array(images: Any) -> Any:
    """One array of what holds pictures one by one, as lists and a table's columns do, or of a tensor; else as it is."""
    if isinstance(images, Tensor):
        images = images.detach().cpu()
        return (images.float() if images.dtype == torch.bfloat16 else images).numpy()
    one_by_one = getattr(images, "ndim", None) == 1 and images.dtype == object
    if not one_by_one and not isinstance(images, list | tuple):
        return images
    if shapes := {tuple(each.shape): None for each in images if isinstance(each, np.ndarray | Tensor)}:
        if len(shapes) > 1:
            raise ValueError(f"images must be of one shape, got {', '.join(map(str, shapes))} (resize them first)")
        return np.stack([np.asarray(one_array(each)) for each in images])
    return np.asarray(images)


def _channels_last(images: Tensor, layout: Layout) -> bool:
    if layout not in ("auto", "NCHW", "NHWC"):
        raise ValueError(f"layout must be auto, NCHW or NHWC, got {shown(layout)}")
    if layout != "auto":
        return layout == "NHWC"
    first, last = images.shape[1] in CHANNELS, images.shape[3] in CHANNELS
    if first and last:
        raise ValueError(f"images of shape {tuple(images.shape)} may be either: say layout='NCHW' or layout='NHWC'")
    return last


def _in_our_units(images: Tensor) -> Tensor:
    if images.dtype == torch.uint8 or not images.numel():
        return images
    if images.dtype == torch.bool:
        return images.to(torch.uint8) * 255
    low, high = (value.item() for value in images.aminmax())
    if not low - high <= 0:
        raise ValueError("images must be finite, got nan or infinity")
    if not images.is_floating_point():
        if low < 0 or high > 255:
            raise ValueError(f"whole numbers must be levels in 0..255, got {low}..{high}")
        return images.to(torch.uint8)
    if not (low >= 0 and high <= 1):
        cure = (
            "divide by 255, or pass uint8"
            if low >= 0 and high <= 255
            else "undo the normalisation: models do it inside"
        )
        raise ValueError(f"float images must lie in [0, 1], got {low:g} to {high:g} ({cure})")
    return images.float()


def labels_of(labels: Any, classes: Sequence[str] | None = None) -> tuple[Tensor, tuple[str, ...]]:
    """int64 labels (N,) and the names of all classes; words are sorted, unless `classes` orders them."""
    given = labels.cpu().numpy() if isinstance(labels, Tensor) else np.asarray(labels)
    if isinstance(classes, str) or (classes is not None and len(set(map(str, classes))) < len(classes)):
        raise ValueError(f"classes must be a list of names, each once, got {shown(classes)}")
    if given.dtype == object and given.ndim and len(kinds := set(map(type, given.ravel().tolist()))) == 1:
        # As tables hold words and whole numbers; all else stays what it is.
        given = given.astype(str if kinds == {str} else np.int64) if kinds <= {str, int} else given
    given = given[:, 0] if given.ndim == 2 and given.shape[1] == 1 else given
    if given.ndim != 1 or not len(given):
        one_hot = " (one-hot rows: pass labels.argmax(1))" if given.ndim == 2 and len(given) else ""
        raise ValueError(f"labels must be of shape (N,), at least one, got {given.shape}{one_hot}")
    if given.dtype.kind in "US":
        words = given.astype(str).tolist()
        names = tuple(map(str, classes)) if classes is not None else tuple(sorted(set(words)))
        if strangers := sorted(set(words) - set(names)):
            raise ValueError(f"labels name {shown(strangers[0])}, which is none of the classes {', '.join(names)}")
        return torch.tensor([names.index(word) for word in words]), names
    if given.dtype.kind not in "iub":
        raise ValueError(f"labels must be whole numbers or words, got {given.dtype}")
    numbers = torch.from_numpy(given.astype(np.int64))
    if classes is None and numbers.max() >= MOST_CLASSES:
        raise ValueError(f"labels must lie in 0..{MOST_CLASSES - 1:,}, got {int(numbers.max()):,} (are they classes?)")
    names = tuple(map(str, range(int(numbers.max()) + 1) if classes is None else classes))
    return numbers, names


def stacked(dataset: Any) -> tuple[Any, list[Any], tuple[str, ...] | None]:
    """Pictures, labels and, where it has any, class names of a PyTorch data set of (picture, label) pairs."""
    if not len(dataset):
        raise ValueError("dataset must hold at least one pair of picture and label, got none")
    pictures, labels = [], []
    for index in range(len(dataset)):
        item = dataset[index]
        if not isinstance(item, tuple | list) or len(item) < 2:
            raise ValueError(f"dataset must give pairs of picture and label, item {index} is {type(item).__name__}")
        pictures.append(as_tensor(item[0]))
        labels.append(item[1].item() if isinstance(item[1], Tensor) else item[1])
    shapes = sorted({tuple(each.shape) for each in pictures})
    if len(shapes) > 1:
        raise ValueError(
            f"pictures must be of one size, got {shapes[0]} and {shapes[-1]} (give it a transform that resizes)"
        )
    names = getattr(dataset, "classes", None)
    return as_levels(torch.stack(pictures)), labels, None if names is None else tuple(map(str, names))


def as_tensor(picture: Any) -> Tensor:
    """(C, H, W), of a tensor (C, H, W), an array (H, W[, C]) or a picture of Pillow's."""
    if isinstance(picture, Tensor):
        return picture if picture.ndim == 3 else picture[None]
    if hasattr(picture, "convert"):
        picture = picture if picture.mode in ("L", "RGB") else picture.convert("RGB")
    array = np.array(picture)
    return torch.from_numpy(array[None] if array.ndim == 2 else array.transpose(2, 0, 1))


def as_levels(images: Tensor) -> Tensor:
    """Floats that are levels divided by 255, as ToTensor makes them, as those levels again."""
    if not images.is_floating_point():
        return images
    levels = (255 * images).round()
    if images.amin() >= 0 and images.amax() <= 1 and torch.equal(levels / 255, images):
        return levels.to(torch.uint8)
    return images
