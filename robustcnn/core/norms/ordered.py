"""Rows in order: on a CPU numpy sorts them ten to thirty times as fast as torch."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

INDEX = 32
"""Bits for an entry's place in its row, below those of its value."""


def kth_largest(values: Tensor, which: Tensor | int) -> Tensor:
    """The entry of each row (N, D) that so many, or so many in each row (N,), are at least as large as: (N, 1)."""
    columns = values.shape[1]
    if _is_numpys(values):
        ascending = torch.from_numpy(np.sort(values.detach().numpy(), axis=1))
        return ascending[:, columns - which, None] if isinstance(which, int) else _entry(ascending, columns - which)
    if isinstance(which, int):
        return values.topk(which, dim=1).values[:, -1:]
    return _entry(values.topk(columns, dim=1).values, which - 1)


def falling(values: Tensor) -> tuple[Tensor, Tensor]:
    """Each row (N, D) of numbers that are at least 0, the greatest first, and the place that each entry had."""
    if not _is_numpys(values) or values.dtype != torch.float32:
        return values.sort(dim=1, descending=True)
    # The bits of such numbers are in their order. Turned over, the least is the greatest; the place comes after.
    keys = values.detach().view(torch.int32).bitwise_not().long().bitwise_left_shift_(INDEX)
    keys |= torch.arange(values.shape[1])
    ordered = torch.from_numpy(np.sort(keys.numpy(), axis=1))
    greatest = ordered.bitwise_right_shift(INDEX).int().bitwise_not_().view(torch.float32)
    return greatest, ordered.bitwise_and_((1 << INDEX) - 1)


def _entry(rows: Tensor, place: Tensor) -> Tensor:
    return rows.gather(1, place[:, None])


def _is_numpys(values: Tensor) -> bool:
    """What only stands for a tensor has no numbers that could be sorted."""
    return type(values) is Tensor and values.device.type == "cpu" and values.dtype in (torch.float32, torch.float64)
