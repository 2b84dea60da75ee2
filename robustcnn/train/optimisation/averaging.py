"""An exponential moving average of a model's weights, which often judges better than the weights themselves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Averaged:
    """Averages of all float parameters and buffers; integer buffers follow the model."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.model = model
        self.tensors = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}

    @torch.no_grad()
    def update(self, steps: int) -> None:
        """Move towards the model; early on faster, so that the initial weights are soon forgotten."""
        share = 1 - min(self.decay, (1 + steps) / (10 + steps))
        state = self.model.state_dict()
        floats = [name for name, mine in self.tensors.items() if mine.is_floating_point()]
        # All of them at once: on a GPU one launch each would take longer than the arithmetic.
        torch._foreach_lerp_([self.tensors[name] for name in floats], [state[name] for name in floats], share)
        for name in self.tensors.keys() - set(floats):
            self.tensors[name].copy_(state[name])

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The model carries the averages inside the block, its own weights after it."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for name, tensor in self.model.state_dict().items():
            own: Tensor = tensor.clone()
            tensor.copy_(self.tensors[name])
            self.tensors[name].copy_(own)
