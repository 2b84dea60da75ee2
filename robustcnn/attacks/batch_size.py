"""How many images are best shown to a model at once."""

from __future__ import annotations

import time
from collections.abc import Hashable

import torch
from torch import Tensor, nn

from robustcnn.attacks.base import input_gradient
from robustcnn.core.losses import cross_entropy
from robustcnn.core.runtime import out_of_memory

SIZES = (32, 64, 128, 256, 512, 1024, 2048)
"""Batch sizes that `auto` tries, smallest first, until a larger one is no faster."""
WORTH_TRYING = 2048
"""Images from which on trying sizes costs less than it saves."""
_FOUND: dict[Hashable, int] = {}


def best_size(view: nn.Module, images: Tensor, labels: Tensor) -> int:
    """The batch size with the most input gradients a second; for few images a fair one, because trying costs more.

    It is tried once a process for networks of one build: what the weights are does not matter.
    """
    if len(images) < WORTH_TRYING:
        return fair_size(images)
    kind = _kind(view, images)
    if kind not in _FOUND:
        _FOUND[kind] = _tried(view, images, labels)
    return _FOUND[kind]


def _kind(view: nn.Module, images: Tensor) -> Hashable:
    """All that the best size depends on."""
    layers = tuple((name, type(module).__qualname__) for name, module in view.named_modules())
    tensors = tuple((tuple(each.shape), each.dtype) for each in (*view.parameters(), *view.buffers()))
    compiled = type(getattr(view, "look", view)).__qualname__
    return layers, tensors, compiled, images.shape[1:], images.dtype, images.device, torch.get_num_threads()


def _tried(view: nn.Module, images: Tensor, labels: Tensor) -> int:
    best, fastest = SIZES[0], 0.0
    for size in SIZES:
        try:
            speed = _speed(view, images[:size], labels[:size])
        except (RuntimeError, MemoryError) as problem:
            if not out_of_memory(problem):
                raise
            break
        # A larger batch has to pay for its memory.
        if speed < 1.03 * fastest:
            break
        best, fastest = size, speed
    return best


def fair_size(images: Tensor) -> int:
    return 256 if images.is_cuda else 128


def _speed(view: nn.Module, images: Tensor, labels: Tensor) -> float:
    # Of this process alone on a CPU, where others may be at work; a GPU's work is not in it.
    clock = time.perf_counter if images.is_cuda else time.process_time
    times = []
    for _ in range(2):
        start = clock()
        input_gradient(view, images, lambda logits, part: cross_entropy(logits, labels[part]))
        if images.is_cuda:
            torch.cuda.synchronize(images.device)
        times.append(clock() - start)
    return len(images) / min(times)
