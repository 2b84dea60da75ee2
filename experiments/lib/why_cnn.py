"""A small CNN, and the same with one of its three ideas switched off: locality, shared weights, subsampling."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from robustcnn import ImageSpec
from robustcnn.core.runtime import global_seed
from robustcnn.models import ModelConfig, PixelModel

MAPS = 8


class Unshared(nn.Module):
    """A 5x5 layer whose every place has weights of its own; stride 2, as it has many."""

    def __init__(self, inputs: int, outputs: int, size: int) -> None:
        super().__init__()
        self.side = (size - 5) // 2 + 1
        places, taps = self.side**2, inputs * 25
        self.weight = nn.Parameter(torch.randn(places, outputs, taps) * math.sqrt(2 / taps))
        self.bias = nn.Parameter(torch.zeros(places, outputs))
        self.cut = nn.Unfold(5, stride=2)

    def forward(self, images: Tensor) -> Tensor:
        answers = torch.einsum("nkp,pok->nop", self.cut(images), self.weight) + self.bias.T
        return answers.unflatten(2, (self.side, self.side))


class Shuffled(nn.Module):
    """The pixels in an order of their own, the same for all pictures: no neighbour is a neighbour any more."""

    order: Tensor

    def __init__(self, pixels: int) -> None:
        super().__init__()
        self.register_buffer("order", torch.randperm(pixels))

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(2)[:, :, self.order].view(images.shape)


def variants(spec: ImageSpec, seed: int) -> dict[str, PixelModel]:
    """All with fresh weights; `MLP` has none of the three ideas."""
    channels, size, classes = spec.channels, spec.height, spec.num_classes
    tiny = (size // 2 - 4) // 2

    def two(stride: int) -> list[nn.Module]:
        """Two convolutions, pooled or not."""
        pool: list[nn.Module] = [nn.MaxPool2d(2)] if stride == 2 else []
        first = [nn.Conv2d(channels, MAPS, 5, padding=2), nn.ReLU(), *pool]
        return [*first, nn.Conv2d(MAPS, 2 * MAPS, 5), nn.ReLU(), *pool, nn.Flatten()]

    def unshared() -> list[nn.Module]:
        first = Unshared(channels, MAPS, size)
        second = Unshared(MAPS, 2 * MAPS, first.side)
        head = nn.Linear(2 * MAPS * second.side**2, classes)
        return [first, nn.ReLU(), second, nn.ReLU(), nn.Flatten(), head]

    with global_seed(seed):
        head, wide = nn.Linear(2 * MAPS * tiny**2, classes), nn.Linear(2 * MAPS * (size - 4) ** 2, classes)
        nets = {
            "CNN": [*two(2), head],
            "no locality (pixels shuffled)": [Shuffled(size * size), *two(2), nn.Linear(2 * MAPS * tiny**2, classes)],
            "no sharing (weights of each place)": unshared(),
            "no subsampling": [*two(1), wide],
            "MLP": [nn.Flatten(), nn.Linear(channels * size * size, 128), nn.ReLU(), nn.Linear(128, classes)],
        }
    config = ModelConfig(name="smallcnn")
    return {name: PixelModel(nn.Sequential(*net), spec, config) for name, net in nets.items()}
