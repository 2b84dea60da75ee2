"""Where a sum that is piecewise linear meets a value, found by sorting, without rounds or waiting."""

from __future__ import annotations

import torch
from torch import Tensor

SEARCHED = {"cpu"}
"""Kinds of devices on which a few rounds cost less than sorting, and asking whether they are over costs nothing."""


def sorted_root(ends: Tensor, stuck: Tensor, rate: Tensor, aim: Tensor | float) -> Tensor:
    """The p (N, 1) for which each row's sum of `rate * p` up to its end, and of `stuck` after it, is the aim.

    Ends, stuck values (rate * end) and rates are (N, D) and at least 0, the aim (N, 1); where it is out of reach, at
    least the greatest end. Sums are in float64, because D terms of float32 add up to errors that can be seen.
    """
    ends, order = ends.sort(1)
    stuck, rate = stuck.gather(1, order).double(), rate.gather(1, order).double()
    # At each end: what is stuck before it, and the rate of all that still moves up to it.
    before, moving = stuck.cumsum(1) - stuck, rate.flip(1).cumsum(1).flip(1)
    passed = (torch.addcmul(before, ends.double(), moving) < aim).sum(1, keepdim=True)
    following = passed.clamp_max_(ends.shape[1] - 1)
    left = (aim - before.gather(1, following)).clamp_min_(0)
    return left / moving.gather(1, following).clamp_min_(torch.finfo(torch.float64).tiny)
