"""Images that an ascent has led in a circle: where they are now, they will be at its end."""

from __future__ import annotations

import random
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from robustcnn.core.waiting import HOSTS, split

ROUND = 12
"""Steps between two looks: a circle of 1, 2, 3, 4, 6 or 12 steps, as most are, is back then."""
WORTH = 32
"""One in so many has to have come round before the others are copied to go on without it."""
DRAWING = (torch.Generator, np.random.Generator, np.random.RandomState, random.Random)


class Cycles:
    """Of one ascent whose every step is the same function of the image alone.

    Looks lie whole rounds before the end: an image that is where it was a round ago ends where it is. Bit for bit, and
    only while nothing draws random numbers: with the same logits, too, for what the model may remember.
    """

    def __init__(self, model: nn.Module, steps: int) -> None:
        self.steps, self.before = steps, tuple[Tensor, ...]()
        self.drawing, self.random = any(_drawing(model)), torch.get_rng_state()

    def closed(self, step: int, current: Tensor, logits: Tensor) -> tuple[Tensor, Tensor] | None:
        """Which images go on and which have come round, once these are worth it; None before that."""
        if not step or (self.steps - step) % ROUND or self.drawing or current.device.type not in HOSTS:
            return None
        before, self.before = self.before, (current, logits)
        if not before:
            return None
        back = (current == before[0]).flatten(1).all(1) & (logits == before[1]).all(1)
        if not back.any() or WORTH * int(back.sum()) < len(back) or not torch.equal(self.random, torch.get_rng_state()):
            return None
        return split(back)

    def keep(self, stay: Tensor) -> None:
        """The others are attacked no longer."""
        self.before = tuple(each[stay] for each in self.before)


def _drawing(model: nn.Module) -> Iterator[bool]:
    """Whether a part of the model has a source of random numbers of its own."""
    for module in model.modules():
        yield any(isinstance(each, DRAWING) for each in vars(module).values())
