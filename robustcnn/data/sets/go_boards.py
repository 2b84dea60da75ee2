"""Go boards with stones at random, and the rule to be learnt: which stones' groups have one liberty left."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from robustcnn.core.runtime import seeded

SIDE = 19


class Boards(NamedTuple):
    planes: Tensor
    """(N, 3, 19, 19) of 0 and 1: black stones, white stones, empty points."""
    in_atari: Tensor
    """(N, 19, 19): whether a stone stands there whose group has one liberty."""


def draw_boards(count: int, *, full: tuple[float, float] = (0.25, 0.65), seed: int = 0) -> Boards:
    """So many boards, `full` to such shares; groups without any liberty are taken off, as the rules have it."""
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    if not 0 <= full[0] <= full[1] < 1:
        raise ValueError(f"full must be two shares in [0, 1), the smaller first, got {full}")
    draws = seeded(seed)
    share = full[0] + (full[1] - full[0]) * torch.rand(count, 1, 1, generator=draws)
    stone = torch.rand(count, SIDE, SIDE, generator=draws) < share
    black = torch.rand(count, SIDE, SIDE, generator=draws) < 0.5
    colours = torch.stack([stone & black, stone & ~black], 1)
    # Taking stones off gives others liberties, never fewer: once is enough.
    colours = colours & (liberties(colours) > 0)
    planes = torch.cat([colours, ~colours.any(1, keepdim=True)], 1).float()
    atari = (liberties(colours) == 1) & colours
    return Boards(planes, atari.any(1))


def liberties(colours: Tensor) -> Tensor:
    """How many empty points touch each stone's group, (N, 2, 19, 19); -1 where no stone stands.

    Each group takes the largest of its members' numbers as its name; names spread until none changes.
    """
    count = len(colours)
    names = torch.arange(1, colours.numel() + 1, dtype=torch.float64).view(colours.shape) * colours
    while True:
        spread = torch.stack([names, *_neighbours(names)]).amax(0) * colours
        if torch.equal(spread, names):
            break
        names = spread
    empty = ~colours.any(1, keepdim=True)
    # An empty point counts once for each different group among its four neighbours.
    around = torch.stack(_neighbours(names), -1).long()
    around = around.sort(-1).values
    first = torch.cat([torch.ones_like(around[..., :1]), around.diff(dim=-1)], -1) != 0
    counted = around[first & (around > 0) & empty[..., None]]
    totals = torch.bincount(counted, minlength=colours.numel() + 1)
    return torch.where(colours, totals[names.long()], -1).view(count, 2, SIDE, SIDE)


def _neighbours(values: Tensor) -> list[Tensor]:
    """Up, down, left and right; 0 beyond the edge."""
    padded = F.pad(values, (1, 1, 1, 1))
    return [padded[:, :, 1 + down : 1 + down + SIDE, 1 + across : 1 + across + SIDE] for down, across in _STEPS]


_STEPS = ((-1, 0), (1, 0), (0, -1), (0, 1))
