"""Where a host waits for the numbers of a device."""

from __future__ import annotations

import torch
from torch import Tensor

HOSTS = {"cpu"}
"""Kinds of devices whose numbers can be read without waiting."""


def wait_for(number: Tensor) -> float:
    """The number in a tensor, for which a GPU has to be waited for: attacks do so here and nowhere else."""
    return number.item()


def split(chosen: Tensor) -> tuple[Tensor, Tensor]:
    """The indices that are not chosen (N,), and those that are; in order. It waits for a GPU."""
    count = int(wait_for(chosen.sum()))
    if not count:
        rows = torch.arange(len(chosen), device=chosen.device)
        return rows, rows[:0]
    # Sorted, because nonzero() would wait once more.
    order = chosen.to(torch.uint8).argsort(stable=True)
    return order[: len(chosen) - count], order[len(chosen) - count :]
