"""Arithmetic that is done for each example of a batch."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from robustcnn.core.norms.norm import Radius
from robustcnn.core.norms.sorted_root import SEARCHED
from robustcnn.core.rows import drawn


def per_example(values: Tensor, images: Tensor) -> Tensor:
    """One value an example, shaped to broadcast against the images."""
    return values.view(-1, *[1] * (images.ndim - 1))


def pick(weight: Tensor, yes: Tensor, no: Tensor) -> Tensor:
    """`yes` for the examples whose weight (N,) is 1 or true, `no` where it is 0 or false; both finite."""
    if weight.dtype == torch.bool and no.device.type not in SEARCHED:
        return torch.where(per_example(weight, no), yes, no)
    # On a CPU ten times as fast as torch.where; the ends of an interpolation are exact.
    return torch.lerp(no, yes, per_example(weight.to(no.dtype), no))


def length_of(change: Tensor, order: float) -> Tensor:
    """The Lp norm of each example, shaped (N, 1, ...)."""
    every = tuple(range(1, change.ndim))
    # On a CPU ten times as fast as vector_norm, which is quick for l2 alone.
    if order == math.inf:
        return change.abs().amax(every, keepdim=True)
    norm: Tensor = torch.linalg.vector_norm(change, order, dim=every, keepdim=True)
    return norm


def scaled(gradient: Tensor) -> tuple[Tensor, Tensor]:
    """The gradient with 1 for its largest entry, and that entry: the square of a tiny one vanishes in float32."""
    largest = length_of(gradient, math.inf)
    return gradient / largest.clamp_min(torch.finfo(gradient.dtype).tiny), largest


def dual_length(gradient: Tensor, order: float) -> Tensor:
    """The Lp norm of each gradient, however tiny."""
    if order == 2 and gradient.dtype != torch.float64:
        # The square of the tiniest float32 is a number in float64.
        every = tuple(range(1, gradient.ndim))
        norm: Tensor = torch.linalg.vector_norm(gradient, 2, dim=every, keepdim=True, dtype=torch.float64)
        return norm.to(gradient.dtype)
    direction, largest = scaled(gradient)
    return length_of(direction, order) * largest


def sum_of(values: Tensor) -> Tensor:
    """Of each example, shaped (N, 1, ...)."""
    return values.sum(dim=tuple(range(1, values.ndim)), keepdim=True)


def column(like: Tensor) -> Tensor:
    """One value an example, shaped (N, 1, ...), not set to anything."""
    return like.new_empty((len(like),) + (1,) * (like.ndim - 1))


def draw(kind: Callable[..., Tensor], like: Tensor, generator: torch.Generator) -> Tensor:
    """Random numbers in the shape of a tensor, the same on every device: drawn where the generator lives."""
    return drawn(kind, tuple(like.shape), generator, like.dtype).to(like.device)


def signs(shape: tuple[int, ...], like: Tensor, generator: torch.Generator) -> Tensor:
    """Random +1 and -1."""
    drawn = torch.randint(0, 2, shape, generator=generator, device=generator.device)
    return (2 * drawn - 1).to(like.device, like.dtype)


def ascend(current: Tensor, uphill: Tensor, length: Radius) -> Tensor:
    """`current` and steps so long."""
    if isinstance(length, Tensor):
        return torch.addcmul(current, uphill, length)
    return torch.add(current, uphill, alpha=length)
