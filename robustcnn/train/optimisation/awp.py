"""Adversarial weight perturbation: descend from where the weights are worst (Wu et al. 2020)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from robustcnn.train.optimisation.optim import weights_of


@contextmanager
def perturbed_weights(
    model: nn.Module, slope: Callable[[list[Tensor]], Sequence[Tensor]], *, gamma: float
) -> Iterator[None]:
    """Inside the block every layer's weights stand gamma of their norm up the slope; after it as before.

    `slope` gives the gradients of the loss by these weights.
    """
    weights = weights_of(model)
    before = [weight.detach().clone() for weight in weights]
    statistics = [(buffer, buffer.clone()) for buffer in model.buffers()]
    gradients = slope(weights)
    with torch.no_grad():
        # Batch norm shall have seen this batch once, not twice.
        for buffer, value in statistics:
            buffer.copy_(value)
        for weight, gradient in zip(weights, gradients, strict=True):
            length = gradient.norm()
            weight += gradient * torch.where(length > 0, gamma * weight.norm() / length, 0)
    try:
        yield
    finally:
        with torch.no_grad():
            for weight, value in zip(weights, before, strict=True):
                weight.copy_(value)
