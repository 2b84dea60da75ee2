"""Victims for the attacks: a small trained network with batch norm and dropout, and a linear one with known answers."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Trained(NamedTuple):
    """A network (in evaluation mode) that gets nearly all of its held-out images (N, 1, 8, 8) right."""

    model: nn.Module
    images: Tensor
    labels: Tensor


class Linear(nn.Module):
    """logits = weight @ pixels + bias."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1) @ self.weight.T + self.bias


def small_network(*, channels: int = 16, classes: int = 10) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, channels, 3, padding=1),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        nn.Conv2d(channels, channels, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(channels * 16, classes),
    )


def train(model: nn.Module, images: Tensor, labels: Tensor, *, epochs: int) -> None:
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(epochs):
        for chosen in torch.randperm(len(labels)).split(64):
            optimizer.zero_grad()
            # Noise makes the network just robust enough for attacks of different strength to differ.
            noisy = (images[chosen] + 0.3 * torch.randn_like(images[chosen])).clamp(0, 1)
            F.cross_entropy(model(noisy), labels[chosen]).backward()
            optimizer.step()
    model.zero_grad(set_to_none=True)
