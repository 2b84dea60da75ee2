"""GoogLeNet (Szegedy et al. 2015), without the auxiliary classifiers that only helped its training."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from robustcnn.core.spec import ImageSpec
from robustcnn.models.alexnet import local_response_norm
from robustcnn.models.layers import ActivationName, PoolName, conv_block, dropout_layer, pool_layer, scaled
from robustcnn.models.sizes import is_large


class Branches(NamedTuple):
    """Channels of one row of the paper's table 1."""

    one: int
    reduce3: int
    three: int
    reduce5: int
    five: int
    project: int

    @property
    def total(self) -> int:
        return self.one + self.three + self.five + self.project


STAGES = (
    (Branches(64, 96, 128, 16, 32, 32), Branches(128, 128, 192, 32, 96, 64)),
    (
        Branches(192, 96, 208, 16, 48, 64),
        Branches(160, 112, 224, 24, 64, 64),
        Branches(128, 128, 256, 24, 64, 64),
        Branches(112, 144, 288, 32, 64, 64),
        Branches(256, 160, 320, 32, 128, 128),
    ),
    (Branches(256, 160, 320, 32, 128, 128), Branches(384, 192, 384, 48, 128, 128)),
)


class Inception(nn.Module):
    """Four views of the same map, concatenated: 1x1, 3x3 and 5x5 after a reduction, and pooling."""

    def __init__(
        self, inputs: int, maps: Branches, *, batch_norm: bool, activation: ActivationName, pool: PoolName
    ) -> None:
        super().__init__()
        conv = partial(conv_block, batch_norm=batch_norm, activation=activation)
        self.one = conv(inputs, maps.one, 1)
        self.three = nn.Sequential(conv(inputs, maps.reduce3, 1), conv(maps.reduce3, maps.three, 3, padding=1))
        self.five = nn.Sequential(conv(inputs, maps.reduce5, 1), conv(maps.reduce5, maps.five, 5, padding=2))
        self.pooled = nn.Sequential(pool_layer(pool, 3, stride=1, padding=1), conv(inputs, maps.project, 1))

    def forward(self, maps: Tensor) -> Tensor:
        return torch.cat([self.one(maps), self.three(maps), self.five(maps), self.pooled(maps)], 1)


def googlenet(
    spec: ImageSpec,
    outputs: int,
    *,
    dropout: float = 0.4,
    batch_norm: bool | None = None,
    activation: ActivationName = "relu",
    pool: PoolName = "max",
    width: float = 1.0,
) -> nn.Module:
    """The paper's network from 128 pixels on; below, a 3x3 stem without stride or pooling in place of 7x7/2.

    `batch_norm` True or False replaces or removes the paper's local response normalisation, which small images do
    without.
    """
    conv = partial(conv_block, batch_norm=bool(batch_norm), activation=activation)
    # Padding by one gives the paper's sizes, 224 -> 112 -> 56 -> 28 -> 14 -> 7, without rounding up.
    halve = partial(pool_layer, pool, 3, stride=2, padding=1)
    lrn = [local_response_norm()] if is_large(spec) and batch_norm is None else []
    stem, inputs = scaled(64, width), scaled(192, width)
    layers: list[nn.Module] = [conv(spec.channels, stem, 3, padding=1)]
    if is_large(spec):
        layers = [conv(spec.channels, stem, 7, stride=2, padding=3), halve(), *lrn]
    layers += [conv(stem, stem, 1), conv(stem, inputs, 3, padding=1), *lrn]
    for stage in STAGES:
        layers.append(halve())
        for row in stage:
            maps = Branches(*(scaled(count, width) for count in row))
            layers.append(Inception(inputs, maps, batch_norm=bool(batch_norm), activation=activation, pool=pool))
            inputs = maps.total
    return nn.Sequential(
        *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), dropout_layer(dropout), nn.Linear(inputs, outputs)
    )
