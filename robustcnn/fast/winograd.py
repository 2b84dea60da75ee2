"""3x3 convolutions by Winograd's short way (Lavin & Gray 2016): 36 products an input and output channel, not 144.

The result is made in tiles of 4x4, from overlapping tiles of 6x6 that are turned into another base and back. Some
hundred tiles at a time, so that what lies between stays in the processor's cache.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from robustcnn.core.conv_arithmetic import Pair, Window, window_of
from robustcnn.core.runtime import seeded

RESULT, KERNEL, TILE = 4, 3, 6
"""Sides of a tile of the result, of the kernel, and of what the tile sees."""
POINTS = (0.0, 1.0, -1.0, 0.5, -2.0)
"""Where polynomials are evaluated, besides infinity: small numbers, for small errors."""
TILES = 128
"""Tiles that are worked on together."""
WORTH = 1.1
"""The gain from which on it is worth it."""
MEASURED = {"AVX512": (1.9, 140.0), "": (3.0, 40.0)}
"""By what the products alone are quicker, and what turning costs in channels: with such instructions torch's own
kernels are two to three times as fast, and turning, which moves memory, is not."""
AGREED = 1e-5
"""Largest relative error of results and gradients beside the convolution itself."""


class Winograd(nn.Module):
    """Stands for a 3x3 convolution whose weights stand still; costs eight times their memory."""

    forth: Tensor
    back: Tensor

    def __init__(self, convolution: nn.Conv2d, padding: Pair) -> None:
        super().__init__()
        self.weight, self.bias, self.padding = convolution.weight, convolution.bias, padding
        self.register_buffer("forth", _turned(self.weight))
        self.register_buffer("back", _turned(self.weight.flip(2, 3).transpose(0, 1)))

    def forward(self, maps: Tensor) -> Tensor:
        result: Tensor = _Winograd.apply(maps, self.forth, self.back, self.bias, self.padding)
        return result


def winograd_for(convolution: nn.Conv2d, size: Pair) -> Winograd | None:
    """The short way for maps of that size, where there is one and it pays."""
    window = window_of(convolution, size)
    usual = type(convolution) is nn.Conv2d and convolution.groups == 1 and convolution.padding_mode == "zeros"
    if not usual or not window or window != Window((KERNEL, KERNEL), padding=window.padding):
        return None
    if max(window.padding) >= KERNEL or gain(convolution, window.output(size)) < WORTH:
        return None
    short = Winograd(convolution, window.padding)
    return short if _agree(short, convolution, size) else None


def gain(convolution: nn.Conv2d, sides: Pair) -> float:
    """How many times as fast a result of that size should come, by what was measured for 32 to 512 channels.

    Not measured anew: a search that is taken up after a kill has to take the same way.
    """
    used = math.prod(sides) / math.prod(_tiles(side) * RESULT for side in sides)
    saving, turning = MEASURED.get(torch.backends.cpu.get_cpu_capability(), MEASURED[""])
    return used * saving / (1 + turning * (1 / convolution.in_channels + 1 / convolution.out_channels))


def _agree(short: Winograd, convolution: nn.Conv2d, size: Pair) -> bool:
    """Whether both give the same results and gradients; neither has kinks, so that noise will do."""
    weight = convolution.weight
    leaf = torch.randn(1, convolution.in_channels, *size, generator=seeded(0)).to(weight).requires_grad_()
    with torch.enable_grad():
        pairs = []
        for layer in (short, convolution):
            result = layer(leaf)
            pairs.append((result, *torch.autograd.grad(result, leaf, torch.ones_like(result))))
    return all((ours - usual).norm() <= AGREED * usual.norm() for ours, usual in zip(*pairs, strict=True))


class _Winograd(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, maps: Tensor, forth: Tensor, back: Tensor, bias: Tensor | None, padding: Pair) -> Tensor:
        ctx.back, ctx.padding = back, padding
        return _convolved(maps, forth, bias, padding)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        down, across = ctx.padding
        edge = (KERNEL - 1 - down, KERNEL - 1 - across)
        return _convolved(slope, ctx.back, None, edge), None, None, None, None


def _convolved(maps: Tensor, kernel: Tensor, bias: Tensor | None, padding: Pair) -> Tensor:
    """Of maps (N, C, H, W) with a turned kernel (36, C, K)."""
    count, channels, *size = maps.shape
    sides = [length + 2 * edge - KERNEL + 1 for length, edge in zip(size, padding, strict=True)]
    down, across = map(_tiles, sides)
    few = min(count, max(1, TILES // (down * across)))
    into, out_of = (each.to(maps) for each in _bases()[::2])
    # All of this is used again and again, and so stays in the cache; what lies outside the maps stays 0.
    framed = maps.new_zeros(few, down * RESULT + KERNEL - 1, across * RESULT + KERNEL - 1, channels)
    inside = framed[:, padding[0] : padding[0] + size[0], padding[1] : padding[1] + size[1]]
    row, column = framed.stride()[1:3]
    strides = (row, column, framed.stride(0), RESULT * row, RESULT * column, 1)
    overlapping = framed.as_strided((TILE, TILE, few, down, across, channels), strides)
    tiles = torch.empty_like(overlapping, memory_format=torch.contiguous_format).flatten(0, 1)
    turned, products = torch.empty_like(tiles), maps.new_empty(TILE**2, few * down * across, kernel.shape[2])
    result = maps.new_empty(RESULT, RESULT, few, down, across, kernel.shape[2])
    in_place = result.permute(2, 3, 0, 4, 1, 5)
    whole = torch.empty(
        (count, kernel.shape[2], *sides), dtype=maps.dtype, device=maps.device, memory_format=torch.channels_last
    )
    for start in range(0, count, few):
        part = whole[start : start + few].permute(0, 2, 3, 1)
        inside[: len(part)].copy_(maps[start : start + few].permute(0, 2, 3, 1))
        tiles.view(overlapping.shape).copy_(overlapping)
        torch.mm(into, tiles.flatten(1), out=turned.view(TILE**2, -1))
        torch.bmm(turned.view(TILE**2, -1, channels), kernel, out=products)
        if bias is not None:
            # What belongs to the point 1 is added to every result.
            products[TILE + 1] += bias
        torch.mm(out_of, products.flatten(1), out=result.view(RESULT**2, -1))
        if sides == [down * RESULT, across * RESULT]:
            part.view(-1, *in_place.shape[1:]).copy_(in_place[: len(part)])
        else:
            part.copy_(in_place.reshape(few, down * RESULT, across * RESULT, -1)[: len(part), : sides[0], : sides[1]])
    return whole


def _tiles(side: int) -> int:
    return -(-side // RESULT)


def _turned(weight: Tensor) -> Tensor:
    """A kernel (K, C, 3, 3) as the products need it: (36, C, K)."""
    taps = weight.permute(2, 3, 1, 0).flatten(0, 1)
    return (_bases()[1].to(weight) @ taps.flatten(1)).view(TILE**2, *taps.shape[1:])


@cache
def _bases() -> tuple[Tensor, Tensor, Tensor]:
    """What turns tiles (36, 36), kernels (36, 9), and products back into results (16, 36).

    By Toom and Cook: two polynomials are multiplied by multiplying their values. A convolution is the transpose of it.
    """

    def values(terms: int) -> Tensor:
        powers = torch.tensor(POINTS, dtype=torch.float64)[:, None] ** torch.arange(terms)
        return torch.cat([powers, torch.eye(terms, dtype=torch.float64)[-1:]])

    along = values(TILE).inverse().T, values(KERNEL), values(RESULT).T
    into, kernel, out_of = (torch.kron(each, each) for each in along)
    return into, kernel, out_of
