"""Layers that stand in for a model's own in a fast view: the same numbers by a shorter way."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def scale_and_shift(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """What batch norm is once its statistics stand still."""
    if norm.running_mean is None or norm.running_var is None:
        raise ValueError("its batch norm keeps no statistics, so that its answers depend on the batch")
    scale = torch.rsqrt(norm.running_var + norm.eps)
    if not norm.affine:
        return scale, -norm.running_mean * scale
    return scale * norm.weight, norm.bias - norm.running_mean * scale * norm.weight


class ScaleShift(nn.Module):
    """Batch norm in one pass, where no convolution can take it in."""

    scale: Tensor
    shift: Tensor

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        super().__init__()
        for name, value in zip(("scale", "shift"), scale_and_shift(norm), strict=True):
            self.register_buffer(name, value.detach()[:, None, None].clone())

    def forward(self, maps: Tensor) -> Tensor:
        return torch.addcmul(self.shift, maps, self.scale)


class WholeMap(nn.Module):
    """A convolution whose window is all of the map, as the one matrix product that it is."""

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.weight = nn.Parameter(convolution.weight.permute(0, 2, 3, 1).flatten(1), requires_grad=False)
        self.bias = convolution.bias

    def forward(self, maps: Tensor) -> Tensor:
        # Channels last, in which order the maps lie in memory.
        return F.linear(maps.permute(0, 2, 3, 1).flatten(1), self.weight, self.bias)[:, :, None, None]


class InputConvolution(nn.Module):
    """A convolution whose gradient for an image of few channels is one matrix product and a few shifted sums.

    CPU kernels take the channels as the inner loop, and are several times slower where there is but one.
    """

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.weight, self.bias = convolution.weight, convolution.bias
        assert not isinstance(convolution.padding, str)
        self.padding = (convolution.padding[0], convolution.padding[1])

    def forward(self, images: Tensor) -> Tensor:
        maps: Tensor = _InputConvolution.apply(images, self.weight, self.bias, self.padding)
        return maps


class _InputConvolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, bias: Tensor | None, padding: tuple[int, int]) -> Tensor:
        ctx.weight, ctx.padding, ctx.shape = weight, padding, images.shape
        return F.conv2d(images, weight, bias, padding=padding)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        (count, channels, height, width), (down, across) = ctx.shape, ctx.padding
        rows, columns = slope.shape[2:]
        # What each output pixel sends back to each pixel of its window ...
        kernel = ctx.weight.permute(2, 3, 1, 0)
        sent = kernel.flatten(0, 2) @ slope.permute(0, 2, 3, 1).flatten(0, 2).T
        # ... is summed up where it arrives, across and then down; at least in float32, for which adding is quickest.
        sent = sent.to(torch.promote_types(sent.dtype, torch.float32)).view(*kernel.shape[:3], count, rows, columns)
        wide = sent.new_zeros(len(kernel), channels, count, rows, width + 2 * across)
        for j in range(kernel.shape[1]):
            wide[..., j : j + columns] += sent[:, j]
        gradient = sent.new_zeros(channels, count, height + 2 * down, width)
        for i in range(len(kernel)):
            gradient[..., i : i + rows, :] += wide[i, ..., across : across + width]
        return gradient[..., down : down + height, :].transpose(0, 1).to(slope.dtype), None, None, None
