"""Small networks whose input is no picture to classify: sounds, boards, texts, and places in faces."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Spectrogram(nn.Module):
    """Waves (N, samples) as log-magnitudes (N, 1, frequencies, times), differentiable: attacks may act on the wave."""

    window: Tensor

    def __init__(self, *, window: int = 256, hop: int = 128) -> None:
        super().__init__()
        self.size, self.hop = window, hop
        self.register_buffer("window", torch.hann_window(window))

    def forward(self, waves: Tensor) -> Tensor:
        frames = waves.unfold(-1, self.size, self.hop) * self.window
        power = torch.fft.rfft(frames).abs().square()
        magnitudes: Tensor = (power + 1e-4).log().transpose(1, 2)[:, None] / 4
        return magnitudes


def audio_cnn(classes: int) -> nn.Module:
    """Three 3x3 convolutions on the spectrogram, each halving it, and a global average."""
    widths = (1, 12, 24, 48)
    layers = [
        layer
        for inputs, outputs in pairwise(widths)
        for layer in (nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(), nn.MaxPool2d(2))
    ]
    return nn.Sequential(Spectrogram(), *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(48, classes))


def go_cnn(*, pooling: bool = False, width: int = 48, depth: int = 4) -> nn.Module:
    """Planes (N, 3, 19, 19) to a score a point (N, 19, 19): a 5x5 layer of 48 filters, 3x3 layers, no pooling.

    With `pooling` the same layers work at half the resolution, as they would for a picture.
    """
    layers: list[nn.Module] = [nn.Conv2d(3, width, 5, padding=2), nn.ReLU()]
    if pooling:
        layers += [nn.MaxPool2d(2, ceil_mode=True)]
    for _ in range(depth):
        layers += [nn.Conv2d(width, width, 3, padding=1), nn.ReLU()]
    if pooling:
        layers += [nn.Upsample(size=(19, 19))]
    return nn.Sequential(*layers, nn.Conv2d(width, 1, 1), nn.Flatten(1, 2))


class AnyPoint(nn.Module):
    """A board's two logits (N, 2) from a score a point: the second is the highest score of a stone's point."""

    def __init__(self, points: nn.Module, stones: Tensor | None = None) -> None:
        super().__init__()
        self.points, self.stones = points, stones

    def forward(self, planes: Tensor) -> Tensor:
        scores = self.points(planes)
        if self.stones is not None:
            scores = scores.masked_fill(~self.stones, -1e4)
        most = scores.flatten(1).amax(1)
        return torch.stack([torch.zeros_like(most), most], 1)


class TextCNN(nn.Module):
    """Characters embedded, convolutions of widths 3, 5 and 7 along the text, the strongest answer of each filter.

    `embed` and `from_embedded` are its halves: attacks in the embedding act on the second.
    """

    def __init__(self, characters: int, classes: int, *, embedding: int = 16, filters: int = 32) -> None:
        super().__init__()
        self.table = nn.Embedding(characters, embedding)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(embedding, filters, kernel, padding=kernel // 2) for kernel in (3, 5, 7)
        )
        self.head = nn.Sequential(nn.Dropout(0.2), nn.Linear(3 * filters, classes))

    def embed(self, characters: Tensor) -> Tensor:
        """(N, length) numbers as (N, embedding, length) between -1 and 1."""
        embedded: Tensor = torch.tanh(self.table(characters))
        return embedded.transpose(1, 2)

    def from_embedded(self, embedded: Tensor) -> Tensor:
        answers = [F.relu(each(embedded)).amax(2) for each in self.convolutions]
        logits: Tensor = self.head(torch.cat(answers, 1))
        return logits

    def forward(self, characters: Tensor) -> Tensor:
        return self.from_embedded(self.embed(characters))


class Embedded(nn.Module):
    """A text network as seen from its embedding, for attacks that move float tensors."""

    def __init__(self, net: TextCNN) -> None:
        super().__init__()
        self.net = net

    def forward(self, embedded: Tensor) -> Tensor:
        return self.net.from_embedded(embedded)


class Centred(nn.Module):
    """Pixels from 0 to 1 as numbers from -2 to 2: a regression learns slowly from what is all positive."""

    def forward(self, images: Tensor) -> Tensor:
        return 4 * (images - 0.5)


def keypoint_cnn(outputs: int = 30, *, size: int = 96, hidden: int = 500) -> nn.Module:
    """The lecture's network: 32, 64 and 128 filters (3x3, 2x2, 2x2), dropout .1, .2, .3 and .5, two hidden layers."""
    after = size
    layers: list[nn.Module] = [Centred()]
    for inputs, maps, kernel, share in ((1, 32, 3, 0.1), (32, 64, 2, 0.2), (64, 128, 2, 0.3)):
        layers += [nn.Conv2d(inputs, maps, kernel), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(share)]
        after = (after - kernel + 1) // 2
    flat = 128 * after * after
    dense = [nn.Linear(flat, hidden), nn.ReLU(), nn.Dropout(0.5), nn.Linear(hidden, hidden), nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten(), *dense, nn.Linear(hidden, outputs))


class WithinTolerance(nn.Module):
    """A regression as two logits (N, 2), so that any attack on classifiers applies: class 0 is "near enough".

    The second logit is the root mean squared error minus the tolerance: PGD climbs the error itself.
    """

    targets: Tensor

    def __init__(self, net: nn.Module, targets: Tensor, tolerance: float) -> None:
        super().__init__()
        if not (tolerance > 0 and math.isfinite(tolerance)):
            raise ValueError(f"tolerance must be a positive number in the targets' units, got {tolerance:g}")
        self.net, self.tolerance = net, tolerance
        self.register_buffer("targets", targets)

    def forward(self, inputs: Tensor) -> Tensor:
        if len(inputs) not in (1, len(self.targets)):
            raise ValueError(
                f"inputs must be the {len(self.targets)} examples whose targets are known, got {len(inputs)}"
            )
        error = (self.net(inputs) - self.targets[: len(inputs)]).square().mean(1).add(1e-12).sqrt()
        return torch.stack([torch.zeros_like(error), error - self.tolerance], 1)
