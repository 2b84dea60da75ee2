"""How fast could a network's input gradient be, if each layer ran at its best kernel and nothing else cost anything?"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SIZES = (32, 64, 128)
"""Batch sizes among which each layer takes its best."""
SPAN = 0.04
"""Seconds that each kernel is run for."""
Kernel = Callable[[], object]


@torch.no_grad()
def layer_limit(model: nn.Module, image: Tensor, precision: torch.dtype) -> float:
    """Seconds an image: over the layers, the sum of the best forward and the best input gradient."""
    layers: list[tuple[nn.Module, Tensor]] = []

    def note(layer: nn.Module, inputs: tuple[Tensor, ...], _: Tensor) -> None:
        layers.append((layer, inputs[0]))

    kinds = nn.Conv2d | nn.Linear
    hooks = [each.register_forward_hook(note) for each in model.modules() if isinstance(each, kinds)]
    model(image[None])
    for hook in hooks:
        hook.remove()
    keys = [(repr(layer), inputs.shape) for layer, inputs in layers]
    # Layers of one shape are measured once.
    best = {key: _best(*pair, precision) for key, pair in dict(zip(keys, layers, strict=True)).items()}
    return sum(best[key] for key in keys)


def _best(layer: nn.Module, example: Tensor, precision: torch.dtype) -> float:
    forward, back = [], []
    for size in SIZES:
        images = torch.randn(size, *example.shape[1:]).to(precision)
        weight = layer.weight.detach().to(precision)
        kernels = _convolution(layer, images, weight) if isinstance(layer, nn.Conv2d) else _linear(images, weight)
        for is_forward, kernel in kernels:
            (forward if is_forward else back).append(_seconds(kernel) / size)
    return min(forward) + min(back)


def _seconds(kernel: Kernel) -> float:
    """The quickest of the runs: what disturbs a measurement only ever adds to it."""
    kernel()
    best, end = float("inf"), time.process_time() + SPAN
    while time.process_time() < end:
        start = time.process_time()
        kernel()
        best = min(best, time.process_time() - start)
    return best


def _linear(images: Tensor, weight: Tensor) -> Iterator[tuple[bool, Kernel]]:
    yield True, partial(F.linear, images, weight)
    yield False, partial(torch.mm, F.linear(images, weight), weight)


def _convolution(layer: nn.Conv2d, images: Tensor, weight: Tensor) -> Iterator[tuple[bool, Kernel]]:
    strides = {"stride": layer.stride, "padding": layer.padding}
    rest = (None, layer.stride, layer.padding, (1, 1), False, (0, 0), 1, (True, False, False))
    sides = zip(images.shape[2:], layer.kernel_size, layer.stride, layer.padding, strict=True)
    spare = [(size + 2 * padding - kernel) % stride for size, kernel, stride, padding in sides]
    edge = [kernel - 1 - padding for kernel, padding in zip(layer.kernel_size, layer.padding, strict=True)]
    for layout in (torch.contiguous_format, torch.channels_last):
        x, w = images.contiguous(memory_format=layout), weight.contiguous(memory_format=layout)
        slope = F.conv2d(x, w, **strides).contiguous(memory_format=layout)
        yield True, partial(F.conv2d, x, w, **strides)
        yield False, partial(torch.ops.aten.convolution_backward, slope, x, w, *rest)
        yield False, partial(F.conv_transpose2d, slope, w, output_padding=spare, **strides)
        if layer.stride == (1, 1):
            turned = weight.flip(2, 3).transpose(0, 1).contiguous(memory_format=layout)
            yield False, partial(F.conv2d, slope, turned, padding=edge)
