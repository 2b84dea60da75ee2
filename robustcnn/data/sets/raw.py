"""From arrays as files hold them to a data set."""

from __future__ import annotations

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
    pixels = torch.from_numpy(np.array(stacked.transpose(0, 3, 1, 2), order="C"))
    _, channels, height, width = pixels.shape
    spec = ImageSpec(
        channels=channels,
        height=height,
        width=width,
        classes=classes,
        mean=(0.0,) * channels,
        std=(1.0,) * channels,
    )
    return ResidentDataset(images=pixels, labels=torch.from_numpy(labels.astype(np.int64)), spec=spec)
