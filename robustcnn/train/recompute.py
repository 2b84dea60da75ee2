"""Less memory for more time: blocks of a model keep what they were given, and are worked out again on the way back."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

FEW = 4
"""Layers in a row that are one block."""


class Recomputed:
    """The blocks of a model forget what they computed until `release`; outside of training they are what they were."""

    def __init__(self, model: nn.Module) -> None:
        self.modules = list(blocks(model))
        for module in self.modules:
            in_a_row = type(module).forward is nn.Sequential.forward
            module.forward = MethodType(_row if in_a_row else _block, module)

    def release(self) -> None:
        """As the modules were."""
        for module in self.modules:
            del module.forward
        self.modules = []


def blocks(model: nn.Module) -> Iterator[nn.Module]:
    """Of the parts inside each other the outermost that are no more than a block: a residual block, a few layers."""
    for child in model.children():
        parts = list(child.children())
        simple = not any(list(part.children()) for part in parts)
        is_row = type(child).forward is nn.Sequential.forward
        if parts and (simple or not (is_row or _is_whole_net(model, child))):
            yield child
        else:
            yield from blocks(child)


def _is_whole_net(model: nn.Module, child: nn.Module) -> bool:
    """Whether nearly all of the model is in it."""
    mine, its = (sum(each.numel() for each in module.parameters()) for module in (model, child))
    return its > 0.9 * mine


def _row(module: nn.Sequential, images: Tensor) -> Tensor:
    layers = list(module)
    size = max(FEW, math.isqrt(len(layers)))
    for start in range(0, len(layers), size):
        part = layers[start : start + size]
        images = _run_again(module, _one_after_the_other, part, images)
    return images


def _one_after_the_other(layers: list[nn.Module], images: Tensor) -> Tensor:
    for layer in layers:
        images = layer(images)
    return images


def _block(module: nn.Module, *arguments: Any) -> Any:
    return _run_again(module, type(module).forward, module, *arguments)


def _run_again(module: nn.Module, function: Any, *arguments: Any) -> Any:
    # What traces a model shows it no tensors.
    learns = module.training and torch.is_grad_enabled() and isinstance(arguments[-1], Tensor)
    if not learns:
        return function(*arguments)

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _seen_already(module)

    return checkpoint(function, *arguments, use_reentrant=False, context_fn=contexts)


@contextmanager
def _seen_already(module: nn.Module) -> Iterator[None]:
    """Inside the block batch norms leave their averages alone: they have had this batch."""
    norms = [each for each in module.modules() if isinstance(each, _BatchNorm) and each.track_running_stats]
    before = [(norm, norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm, _, count in before:
        # Averages that move by nothing, and a count of which a copy is counted up.
        norm.momentum, norm.num_batches_tracked = 0.0, None if count is None else count.clone()
    try:
        yield
    finally:
        for norm, momentum, count in before:
            norm.momentum, norm.num_batches_tracked = momentum, count
