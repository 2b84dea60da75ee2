"""Arrays as other libraries hand them over (rows of features, images in any layout) as pixels in [0, 1]."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from math import isqrt, prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from robustcnn.data.foreign import one_array
from robustcnn.data.sets.raw import Array

Shape = tuple[int, int, int]
"""(channels, height, width)."""
CHANNELS = (1, 3)
WIDE = 16
"""Values that went so far apart in training would hardly all be fractions between 0 and 1 later."""
LEAST_SIDE = 8
"""Rows of fewer than 8 x 8 features are more likely a table than pictures."""


def unrolled(images: Any) -> tuple[Any, Shape | None]:
    """Rows (n, features) as they are and None; images as rows, with the shape of one.

    Images are (n, C, H, W), (n, H, W) or (n, H, W, C). Of four axes the second one counts the channels whenever it is
    1 or 3; only when it is neither, and the last one is, are the channels last.
    """
    images = one_array(images)
    if getattr(images, "ndim", 2) <= 2:
        return images, None
    first = _channels_first(np.asarray(images))
    return first.reshape(len(first), prod(first.shape[1:])), first.shape[1:]


def _channels_first(images: Array) -> Array:
    if images.ndim == 3:
        return images[:, None]
    if images.ndim == 4 and images.shape[1] in CHANNELS:
        return images
    if images.ndim == 4 and images.shape[3] in CHANNELS:
        return images.transpose(0, 3, 1, 2)
    raise ValueError(
        f"images must have the shape (n, C, H, W), (n, H, W) or (n, H, W, C) with 1 or 3 channels, got {images.shape}"
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class PixelFormat:
    """How one kind of rows becomes pixels (N, C, H, W), as learnt from the training rows."""

    shape: Shape
    scale: tuple[float, float] | None
    """The values that become 0 and 1; None where rows hold pixels, as bytes or as floats in [0, 1]."""
    levels: bool = False
    """Whether training rows were bytes."""

    @classmethod
    def of(cls, rows: Array, found: Shape | None, asked: tuple[int, ...] | None = None) -> PixelFormat:
        """Of training rows: the shape that was found with them, or was asked for, or else a guess.

        A guess is a square picture, grey or colour, where the number of features allows one of 8 pixels or more a
        side, and a single line of pixels otherwise.
        """
        shape = _chosen_shape(rows.shape[1], found, None if asked is None else tuple(asked))
        if _are_pixels(rows):
            return cls(shape=shape, scale=None, levels=rows.dtype == np.uint8)
        if found is not None:
            raise _not_pixels(rows)
        return cls(shape=shape, scale=(float(rows.min()), float(rows.max())))

    def pixels(self, rows: Array, found: Shape | None) -> Tensor:
        """uint8 rows as uint8 pixels where they hold pixels, else floats of the rows' own precision."""
        if found is not None and found != self.shape:
            raise ValueError(f"images must be {self.shape} (channels, height, width) as in training, got {found}")
        if self.scale is None and (found is not None or self.levels) and not _are_pixels(rows):
            raise _not_pixels(rows)
        low, high = self.scale or (0.0, 1.0)
        if self.scale is not None or rows.dtype != np.uint8:
            _mind_units(rows, low, high)
        if self.scale is not None:
            rows = (rows - low) / ((high - low) or 1.0)
        # torch.tensor copies, so that read-only arrays are welcome and nobody's memory is shared.
        return torch.tensor(np.ascontiguousarray(rows)).reshape(-1, *self.shape)


def _chosen_shape(features: int, found: Shape | None, asked: tuple[int, ...] | None) -> Shape:
    if asked is None:
        return found or _guessed_shape(features)
    channels, height, width = (1, *asked) if len(asked) == 2 else asked if len(asked) == 3 else (0, 0, 0)
    if prod(asked) != features or min(channels, height, width) < 1 or found not in (None, (channels, height, width)):
        got = f"images of {found}" if found else f"{features} features a row"
        raise ValueError(f"image_shape must be (H, W) or (C, H, W) and fit the data, got {asked} for {got}")
    return channels, height, width


def _guessed_shape(features: int) -> Shape:
    for channels in CHANNELS:
        side = isqrt(features // channels)
        if side >= LEAST_SIDE and channels * side * side == features:
            return channels, side, side
    return 1, 1, features


def _mind_units(rows: Array, low: float, high: float) -> None:
    """Say so where rows look as if they were in other units than the training rows, from `low` to `high`."""
    least, most, span = float(rows.min()), float(rows.max()), high - low
    far = least < low - span or most > high + span
    shrunk = span >= WIDE and least >= 0 and most <= 1 and bool((rows % 1).any())
    if span and (far or shrunk):
        warnings.warn(
            f"X holds values from {least:g} to {most:g}, in training they went from {low:g} to {high:g}: are they in "
            "other units? (scale them as the training examples were)",
            stacklevel=2,
        )


def _are_pixels(rows: Array) -> bool:
    return rows.dtype == np.uint8 or bool(rows.min() >= 0 and rows.max() <= 1)


def _not_pixels(rows: Array) -> ValueError:
    low, high = rows.min(), rows.max()
    cure = "divide by 255, or pass uint8" if 1 < high <= 255 and low >= 0 else "rescale or clip them"
    return ValueError(f"images must be uint8 or floats in [0, 1], got {rows.dtype} from {low:g} to {high:g} ({cure})")
