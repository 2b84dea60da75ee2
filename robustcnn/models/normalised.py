"""A network of somebody else's that expects normalised pictures, as one that takes pixels in [0, 1]."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from robustcnn.core.layer_kinds import Chained
from robustcnn.models.pixel import PixelByPixel


class Normalised(nn.Module, Chained):
    """Takes pixels in [0, 1], subtracts `mean` and divides by `std` (a value a channel, or one for all), and asks the
    network."""

    mean: Tensor
    std: Tensor

    def __init__(self, net: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        if len(mean) != len(std) or not std or min(std) <= 0:
            raise ValueError(f"mean and std need one value a channel, std above 0, got {list(mean)} and {list(std)}")
        self.net = net
        self.register_buffer("mean", torch.tensor(tuple(mean))[:, None, None])
        self.register_buffer("std", torch.tensor(tuple(std))[:, None, None])

    def forward(self, images: Tensor) -> Any:
        return self.net(self.normalised(images))

    def normalised(self, images: Tensor) -> Tensor:
        """As the network sees them."""
        if len(self.mean) not in (1, images.shape[1]):
            raise ValueError(f"mean and std are of {len(self.mean)} channels, the images have {images.shape[1]}")
        return (images - self.mean.to(images)) / self.std.to(images)

    def steps(self) -> list[Callable[[Tensor], Tensor]]:
        return [PixelByPixel(self.normalised), self.net]
