"""What batch norms normalise a clean batch by, for bounds round that batch to share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from robustcnn.core.ranks import Ranks
from robustcnn.train.synced_norm import moments


class CleanStatistics:
    """Mean and variance of the batch that a model in training mode was shown last, under their buffers' names.

    Running averages lag behind weights that learn, and no gradient flows through them: bounds that normalise by them
    are not those of the network that the step improves.
    """

    def __init__(self, model: nn.Module, ranks: Ranks) -> None:
        self.ranks = ranks
        self.norms = {
            name: module
            for name, module in model.named_modules()
            if isinstance(module, _BatchNorm) and module.track_running_stats
        }

    def of(self, model: nn.Module, images: Tensor, weight: float) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The logits, and the statistics; `weight` is 0 where the images stand in for none."""
        with _inputs_of(self.norms) as met:
            logits = model(images)
        found: dict[str, Tensor] = {}
        for name, values in met.items():
            # Worked out here and not while the model is at it: blocks of it may be forgotten and computed again.
            wide = values.to(torch.promote_types(values.dtype, torch.float32))
            mean, variance, _ = moments(wide, self.ranks, weight)
            found |= {f"{name}.running_mean": mean, f"{name}.running_var": variance}
        return logits, found


@contextmanager
def _inputs_of(modules: Mapping[str, nn.Module]) -> Iterator[dict[str, Tensor]]:
    """What the modules that are in training mode are shown inside the block."""
    met: dict[str, Tensor] = {}

    def note(name: str) -> None:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            if module.training:
                met[name] = inputs[0]

        handles.append(modules[name].register_forward_pre_hook(hook))

    handles: list[torch.utils.hooks.RemovableHandle] = []
    try:
        for name in modules:
            note(name)
        yield met
    finally:
        for handle in handles:
            handle.remove()
