"""Layers in which the rows of a batch meet, or draw numbers together: in parts they do what they do in one."""

from __future__ import annotations

from collections.abc import Callable
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn

from robustcnn.core.ranks import Ranks
from robustcnn.core.rows import Rows
from robustcnn.train.synced_norm import batch_norms, normalised

DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)


class SharedLayers:
    """A model's batch norms and dropouts work for the whole batch until `release`.

    Each module keeps its type, so that whoever folds or copies it finds what it knows.
    """

    def __init__(self, model: nn.Module, ranks: Ranks, *, sync_norm: bool, accumulate: int = 1) -> None:
        self.ranks = ranks
        self.rows = Rows(total=1)
        """Those of the batch that the model is shown next."""
        self.modules: list[nn.Module] = []
        if ranks.world > 1 or accumulate > 1:
            for dropout in [module for module in model.modules() if type(module) in DROPOUTS]:
                self._replace(dropout, self._drop)
        if sync_norm and ranks.world > 1:
            for norm in batch_norms(model):
                self._replace(norm, self._normalise)

    def release(self) -> None:
        """As the modules were."""
        for module in self.modules:
            del module.forward
        self.modules = []

    def _replace(self, module: nn.Module, forward: Callable[[Any, Tensor], Tensor]) -> None:
        def called(module: nn.Module, images: Tensor) -> Tensor:
            shared = module.training and self.rows.step > 1
            return forward(module, images) if shared else type(module).forward(module, images)

        # A method, which a deep copy of the module binds to the copy.
        module.forward = MethodType(called, module)
        self.modules.append(module)

    def _normalise(self, module: Any, images: Tensor) -> Tensor:
        return normalised(module, images, self.ranks, float(self.rows.count > 0))

    def _drop(self, module: nn.Module, images: Tensor) -> Tensor:
        whole = torch.ones((self.rows.total, *images.shape[1:]), dtype=images.dtype, device=images.device)
        if not images.is_contiguous() and images.is_contiguous(memory_format=torch.channels_last):
            # Numbers are drawn in the order in which a tensor lies in memory.
            whole = whole.contiguous(memory_format=torch.channels_last)
        kept: Tensor = type(module).forward(module, whole)
        return images * self.rows.of(kept)
