"""Residual networks in their CIFAR form: a 3x3 stem, stages that halve the map, a global average."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from robustcnn.core.spec import ImageSpec
from robustcnn.models.layers import ACTIVATIONS, ActivationName, dropout_layer, scaled


def _conv3(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)


class BasicBlock(nn.Module):
    """Two convolutions beside a shortcut, activated after the sum (He et al. 2016a)."""

    def __init__(self, inputs: int, outputs: int, *, stride: int, activation: ActivationName) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _conv3(inputs, outputs, stride),
            nn.BatchNorm2d(outputs),
            ACTIVATIONS[activation](),
            _conv3(outputs, outputs),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut: nn.Module = nn.Identity()
        if (inputs, stride) != (outputs, 1):
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        self.activation = ACTIVATIONS[activation]()

    def forward(self, maps: Tensor) -> Tensor:
        summed: Tensor = self.activation(self.body(maps) + self.shortcut(maps))
        return summed


class PreactBlock(nn.Module):
    """Normalised and activated before each convolution, so that the sum passes untouched (He et al. 2016b)."""

    def __init__(
        self, inputs: int, outputs: int, *, stride: int, activation: ActivationName, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.preactivation = nn.Sequential(nn.BatchNorm2d(inputs), ACTIVATIONS[activation]())
        self.body = nn.Sequential(
            _conv3(inputs, outputs, stride),
            nn.BatchNorm2d(outputs),
            ACTIVATIONS[activation](),
            dropout_layer(dropout),
            _conv3(outputs, outputs),
        )
        # A shortcut that changes the shape starts from the activated map, any other from the map itself.
        same = (inputs, stride) == (outputs, 1)
        self.shortcut = None if same else nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, maps: Tensor) -> Tensor:
        activated = self.preactivation(maps)
        shortcut = maps if self.shortcut is None else self.shortcut(activated)
        summed: Tensor = self.body(activated) + shortcut
        return summed


def resnet18(
    spec: ImageSpec,
    outputs: int,
    *,
    dropout: float = 0.0,
    activation: ActivationName = "relu",
    width: float = 1.0,
) -> nn.Module:
    """Four stages of two blocks; `dropout` acts before the last layer."""
    stem, *stages = (scaled(count, width) for count in (64, 64, 128, 256, 512))
    blocks: list[nn.Module] = []
    for stage, (inputs, maps) in enumerate(pairwise([stem, *stages])):
        blocks.append(BasicBlock(inputs, maps, stride=2 if stage else 1, activation=activation))
        blocks.append(BasicBlock(maps, maps, stride=1, activation=activation))
    return nn.Sequential(
        nn.Sequential(_conv3(spec.channels, stem), nn.BatchNorm2d(stem), ACTIVATIONS[activation]()),
        *blocks,
        *_head(stages[-1], outputs, dropout=dropout),
    )


def preactresnet18(
    spec: ImageSpec,
    outputs: int,
    *,
    dropout: float = 0.0,
    activation: ActivationName = "relu",
    width: float = 1.0,
) -> nn.Module:
    """resnet18 with pre-activated blocks; `dropout` acts before the last layer."""
    channels = [scaled(count, width) for count in (64, 64, 128, 256, 512)]
    trunk = _preactivated(spec, channels, depth=2, activation=activation)
    return nn.Sequential(*trunk, *_head(channels[-1], outputs, dropout=dropout))


def wideresnet28_10(
    spec: ImageSpec,
    outputs: int,
    *,
    dropout: float = 0.0,
    activation: ActivationName = "relu",
    width: float = 1.0,
) -> nn.Module:
    """Three stages of four wide blocks (Zagoruyko and Komodakis 2016); `dropout` acts inside the blocks."""
    channels = [scaled(count, width) for count in (16, 160, 320, 640)]
    trunk = _preactivated(spec, channels, depth=4, activation=activation, dropout=dropout)
    return nn.Sequential(*trunk, *_head(channels[-1], outputs))


def _preactivated(
    spec: ImageSpec, channels: list[int], *, depth: int, activation: ActivationName, dropout: float = 0.0
) -> list[nn.Module]:
    """Stem, `depth` blocks a stage, and the normalisation that the last block leaves open."""
    layers: list[nn.Module] = [_conv3(spec.channels, channels[0])]
    for stage, (inputs, maps) in enumerate(pairwise(channels)):
        for block in range(depth):
            first = block == 0
            layers.append(
                PreactBlock(
                    inputs if first else maps,
                    maps,
                    stride=2 if first and stage else 1,
                    activation=activation,
                    dropout=dropout,
                )
            )
    return [*layers, nn.BatchNorm2d(channels[-1]), ACTIVATIONS[activation]()]


def _head(channels: int, outputs: int, *, dropout: float = 0.0) -> list[nn.Module]:
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), dropout_layer(dropout), nn.Linear(channels, outputs)]
