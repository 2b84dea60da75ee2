"""Ways to join a window into one number, beside max and average: min, median and mode."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from robustcnn.core.conv_arithmetic import output_size


def windows(maps: Tensor, kernel: int, *, stride: int | None = None) -> Tensor:
    """All windows of maps (N, C, H, W) as (N, C, rows, columns, kernel * kernel)."""
    stride = stride or kernel
    for size in maps.shape[2:]:
        output_size(size, kernel, stride)
    return maps.unfold(2, kernel, stride).unfold(3, kernel, stride).flatten(4)


def max_pool(maps: Tensor, kernel: int, *, stride: int | None = None) -> Tensor:
    return F.max_pool2d(maps, kernel, stride)


def average_pool(maps: Tensor, kernel: int, *, stride: int | None = None) -> Tensor:
    return F.avg_pool2d(maps, kernel, stride)


def min_pool(maps: Tensor, kernel: int, *, stride: int | None = None) -> Tensor:
    """The least value: minus the greatest of the negatives."""
    return -F.max_pool2d(-maps, kernel, stride)


def median_pool(maps: Tensor, kernel: int, *, stride: int | None = None) -> Tensor:
    """The middle value; of an even number the mean of the two in the middle."""
    ordered = windows(maps, kernel, stride=stride).sort(-1).values
    count = ordered.shape[-1]
    return (ordered[..., (count - 1) // 2] + ordered[..., count // 2]) / 2


def mode_pool(maps: Tensor, kernel: int, *, stride: int | None = None) -> Tensor:
    """The value that occurs most often, the least of several; meant for few levels, such as labels."""
    ordered = windows(maps, kernel, stride=stride).sort(-1).values
    counts = (ordered[..., :, None] == ordered[..., None, :]).sum(-1)
    # The first of the most frequent: values are in order, so it is the least.
    return ordered.gather(-1, counts.argmax(-1, keepdim=True)).squeeze(-1)


POOLINGS = {"max": max_pool, "average": average_pool, "min": min_pool, "median": median_pool, "mode": mode_pool}
"""By name; gradients pass through all of them."""
