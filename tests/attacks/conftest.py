"""Victims for the attacks: a small trained network with batch norm and dropout, and a linear one with known answers."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import Tensor, nn

from robustcnn.runtime import global_seed


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


@pytest.fixture(scope="session")
def trained() -> Trained:
    source = load_digits()
    images = torch.tensor(source.images, dtype=torch.float32)[:, None] / 16
    labels = torch.tensor(source.target, dtype=torch.int64)
    with global_seed(0):
        model = small_network()
        train(model, images[:1400], labels[:1400], epochs=8)
    return Trained(model.eval(), images[1400:1528], labels[1400:1528])


@pytest.fixture
def binary() -> Linear:
    """Two classes, whose logits differ by a random linear function of 16 pixels; float64 for closed forms."""
    generator = torch.Generator().manual_seed(1)
    direction = torch.randn(16, generator=generator, dtype=torch.float64)
    return Linear(torch.stack([-direction, direction]), torch.zeros(2, dtype=torch.float64))
