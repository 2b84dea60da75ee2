"""Where a sum that is piecewise linear meets a value, found by sorting, without rounds or waiting."""

from __future__ import annotations

import torch
from torch import Tensor

SEARCHED = {"cpu"}
"""Kinds of devices on which a few rounds cost less than sorting, and asking whether they are over costs nothing."""


def running_sums(ends: Tensor, amounts: Tensor) -> tuple[Tensor, Tensor]:
    """Each row's sums over the entries with the greatest ends (N, D): of one, of two, ... of all of them; in float64.

    The amounts are two (2, N, D). D terms of float32 would add up to errors that can be seen.
    """
    order = ends.argsort(1, descending=True)
    first, second = amounts.gather(2, order.expand(2, *order.shape)).cumsum(2, dtype=torch.float64)
    return first, second


def greatest_share(stuck: Tensor, rate: Tensor, excess: Tensor) -> Tensor:
    """The p (N, 1) for which the sum of min(rate * p, stuck) is `excess` below that of all stuck values.

    Both are running sums, those who get stuck last first. Whoever is held to be stuck, what that makes of the sum is
    never less than the sum itself, and the same for the right ones, who are the first to get stuck: the root is the
    greatest of what the guesses give, and rounding in the order can only make it smaller.
    """
    return stuck.sub(excess).div_(rate).amax(1, keepdim=True)


def sorted_root(ends: Tensor, amounts: Tensor, aim: Tensor) -> Tensor:
    """The p (N, 1) for which each row's sum of `rate * p` up to its end, and of `stuck` after it, is the aim.

    Ends are (N, D), amounts (2, N, D) are the stuck values (rate * end) and the rates, all at least 0; where the aim
    (N, 1) is out of reach, p is at least the greatest end.
    """
    stuck, rate = running_sums(ends, amounts)
    return greatest_share(stuck, rate.clamp_min_(torch.finfo(torch.float64).tiny), stuck[:, -1:] - aim)
