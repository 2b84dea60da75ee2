"""A model that several processes train: one set of weights, batch norms that agree, gradients added up."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from robustcnn.core.ranks import Ranks
from robustcnn.core.rows import Rows
from robustcnn.train.shared_layers import SharedLayers
from robustcnn.train.synced_norm import batch_norms


class SharedModel:
    """What one process does to its copy, so that all copies stay the same to the bit.

    torch's DistributedDataParallel would add up while gradients are still being computed, which hides a few percent
    of a clean step and less of an attacked one. But it hooks itself into every backward pass, so that two forward
    passes before one, a gradient of a gradient, and an attack through the wrapper have to be provided for. Here
    nothing but the sum at the end is shared.
    """

    def __init__(self, model: nn.Module, ranks: Ranks, *, sync_norm: bool, accumulate: int = 1) -> None:
        self.model, self.ranks = model, ranks
        self.layers = SharedLayers(model, ranks, sync_norm=sync_norm, accumulate=accumulate)
        self.apart = [] if sync_norm or ranks.world == 1 else batch_norms(model)
        """Batch norms whose averages each process gathers for itself."""

    def take_over(self) -> None:
        """The first process's weights and buffers."""
        self.ranks.take_over([*self.model.parameters(), *self.model.buffers()])

    def work_on(self, rows: Rows) -> None:
        """To be called before the model is shown these rows of a batch."""
        self.layers.rows = rows

    def add_up(self, values: Sequence[Tensor]) -> None:
        """The gradients on the weights, and these values, over all processes."""
        if self.ranks.world == 1:
            return
        weights = [each for each in self.model.parameters() if each.requires_grad]
        for weight in weights:
            # What this process has not used, another may have.
            weight.grad = torch.zeros_like(weight) if weight.grad is None else weight.grad
        self.ranks.add_up([*values, *(weight.grad for weight in weights if weight.grad is not None)])
        self._average()

    def release(self) -> None:
        """The model's layers are what they were."""
        self.layers.release()

    def _average(self) -> None:
        norms = [(norm.running_mean, norm.running_var) for norm in self.apart]
        averages = [each for both in norms for each in both if each is not None]
        for each in averages:
            each.div_(self.ranks.world)
        self.ranks.add_up(averages)
