"""From arrays as files hold them to a data set."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from robustcnn.core.spec import ImageSpec
from robustcnn.data.resident import ResidentDataset

Array = npt.NDArray[Any]


def resident(images: Array, labels: Array, classes: tuple[str, ...]) -> ResidentDataset:
    """Images (N, H, W) or (N, H, W, C) with labels (N,), taken as they are.

    Mean and std stay provisional (0 and 1): they belong to the training split, known once validation is taken out.
    """
    stacked = images[..., None] if images.ndim == 3 else images
    ordered = stacked.transpose(0, 3, 1, 2)
    mapped = isinstance(images, np.memmap)
    pixels = _as_it_lies(ordered) if mapped else torch.from_numpy(np.array(ordered, order="C"))
    _, channels, height, width = pixels.shape
    spec = ImageSpec(
        channels=channels,
        height=height,
        width=width,
        classes=classes,
        mean=(0.0,) * channels,
        std=(1.0,) * channels,
    )
    home = torch.device("cpu") if mapped else None
    return ResidentDataset(images=pixels, labels=torch.from_numpy(labels.astype(np.int64)), spec=spec, home=home)


def _as_it_lies(array: Array) -> torch.Tensor:
    """A tensor over a file that must not be written to, and is not."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array)
