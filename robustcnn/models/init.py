"""Initial weights that keep the size of the signal from layer to layer."""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import nn

from robustcnn.models.layers import ACTIVATIONS, ActivationName
from robustcnn.models.lenet import MaskedConv2d


@cache
def gain(activation: ActivationName) -> float:
    """1 / sqrt(E[f(z)^2]) for standard normal z: for relu the square root of 2 of He et al. 2015."""
    points = torch.linspace(-8, 8, 4001, dtype=torch.float64, device="cpu")
    density = torch.exp(-points.square() / 2)
    with torch.no_grad():
        power = (ACTIVATIONS[activation]()(points).square() * density).sum() / density.sum()
    return 1 / math.sqrt(power.item())


@torch.no_grad()
def initialise(net: nn.Module, activation: ActivationName | None, *, narrow: bool = False) -> None:
    """Normal weights of variance gain^2 / inputs and zero biases, drawn from torch's global generator.

    The last linear layer has no activation behind it and therefore a gain of 1 (LeCun et al. 1998). `narrow` weights
    have a standard deviation of sqrt(2 pi) / inputs, with which intervals do not grow from layer to layer (Shi et al.
    2021).
    """
    layers = [module for module in net.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    last = [layer for layer in layers if isinstance(layer, nn.Linear)][-1]
    for layer in layers:
        factor = 1.0 if activation is None or layer is last else gain(activation)
        inputs = layer.weight[0].numel()
        layer.weight.normal_(0, math.sqrt(2 * math.pi) / inputs if narrow else factor / math.sqrt(inputs))
        if isinstance(layer, MaskedConv2d):
            # Each map draws from as many inputs as it is connected to.
            layer.weight.mul_(layer.mask / layer.mask.mean(1, keepdim=True).sqrt())
        if layer.bias is not None:
            layer.bias.zero_()
