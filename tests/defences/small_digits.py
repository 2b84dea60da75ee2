"""What the tests of this room say of their digits."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from robustcnn import ResidentDataset
from robustcnn.models import PixelModel

Trainer = Callable[..., PixelModel]


class Digits(NamedTuple):
    train: ResidentDataset
    test: ResidentDataset
    images: Tensor
    """The first 128 of `test`."""
    labels: Tensor
