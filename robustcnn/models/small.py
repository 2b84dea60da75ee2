"""The small convolutional networks of most experiments here."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from torch import nn

from robustcnn.core.spec import ImageSpec
from robustcnn.models.layers import (
    ACTIVATIONS,
    ActivationName,
    PoolName,
    conv_block,
    dropout_layer,
    linear_block,
    pool_layer,
    scaled,
)
from robustcnn.models.sizes import flat_features


def smallcnn(
    spec: ImageSpec,
    outputs: int,
    *,
    dropout: float = 0.0,
    batch_norm: bool = False,
    activation: ActivationName = "relu",
    pool: PoolName = "max",
    width: float = 1.0,
) -> nn.Module:
    """The MNIST network of Madry et al. 2018: two 5x5 convolutions, two poolings, 1,024 hidden units.

    One share of `dropout` acts on the hidden units; three act after the poolings too.
    """
    maps1, maps2, units = (scaled(count, width) for count in (32, 64, 1024))
    features = nn.Sequential(
        conv_block(spec.channels, maps1, 5, padding=2, batch_norm=batch_norm, activation=activation),
        nn.Sequential(pool_layer(pool, 2, stride=2), dropout_layer(0.0)),
        conv_block(maps1, maps2, 5, padding=2, batch_norm=batch_norm, activation=activation),
        nn.Sequential(pool_layer(pool, 2, stride=2), dropout_layer(0.0)),
    )
    hidden = linear_block(flat_features(features, spec), units, dropout=dropout, activation=activation)
    return nn.Sequential(*features, nn.Flatten(), hidden, nn.Linear(units, outputs))


def bncnn(
    spec: ImageSpec,
    outputs: int,
    *,
    dropout: float = 0.0,
    batch_norm: bool = True,
    activation: ActivationName = "relu",
    width: float = 1.0,
) -> nn.Module:
    """Five 3x3 convolutions with batch normalisation and strides for pooling, then one linear layer."""
    channels = [spec.channels, *(scaled(count, width) for count in (32, 64, 64, 128, 128))]
    layers = [
        conv_block(*pair, 3, stride=stride, padding=1, batch_norm=batch_norm, activation=activation)
        for pair, stride in zip(pairwise(channels), (1, 2, 1, 2, 1), strict=True)
    ]
    flat = flat_features(nn.Sequential(*layers), spec)
    return nn.Sequential(*layers, nn.Flatten(), dropout_layer(dropout), nn.Linear(flat, outputs))


def facecnn(
    spec: ImageSpec,
    outputs: int,
    *,
    dropout: float = 0.4,
    batch_norm: bool = True,
    activation: ActivationName = "relu",
    pool: PoolName = "max",
    width: float = 1.0,
) -> nn.Module:
    """A VGG of six convolutions for 48x48 pictures: the first takes every second pixel, three poolings leave 3x3.

    At full resolution the first stage alone would cost as much as all the rest.
    """
    layers: list[nn.Module] = []
    inputs = spec.channels
    for stage, maps in enumerate(scaled(count, width) for count in (64, 128, 256)):
        first = {"kernel": 3, "padding": 1} if stage else {"kernel": 5, "padding": 2, "stride": 2}
        layers += [
            conv_block(inputs, maps, batch_norm=batch_norm, activation=activation, **first),
            conv_block(maps, maps, 3, padding=1, batch_norm=batch_norm, activation=activation),
            pool_layer(pool, 2, stride=2),
        ]
        inputs = maps
    units = scaled(256, width)
    hidden = linear_block(flat_features(nn.Sequential(*layers), spec), units, dropout=dropout, activation=activation)
    return nn.Sequential(*layers, nn.Flatten(), dropout_layer(dropout), hidden, nn.Linear(units, outputs))


def stridedcnn(
    spec: ImageSpec,
    outputs: int,
    *,
    dropout: float = 0.0,
    batch_norm: bool = False,
    activation: ActivationName = "relu",
    width: float = 1.0,
) -> nn.Module:
    """Two 4x4 convolutions of stride 2 and two linear layers: small maps and no pooling, for bounds to stay close."""
    maps1, maps2, units = (scaled(count, width) for count in (32, 64, 256))
    features = nn.Sequential(
        conv_block(spec.channels, maps1, 4, stride=2, padding=1, batch_norm=batch_norm, activation=activation),
        conv_block(maps1, maps2, 4, stride=2, padding=1, batch_norm=batch_norm, activation=activation),
    )
    hidden = linear_block(flat_features(features, spec), units, dropout=dropout, activation=activation)
    return nn.Sequential(*features, nn.Flatten(), hidden, nn.Linear(units, outputs))


def provablecnn(
    spec: ImageSpec,
    outputs: int,
    *,
    batch_norm: bool = True,
    activation: ActivationName = "relu",
    width: float = 1.0,
) -> nn.Module:
    """Four convolutions, of which two have strides, and two linear layers, batch norm behind each: for tight bounds.

    Deeper than `stridedcnn`, which bounds repay only where something holds the size of the signal (Shi et al. 2021).
    """
    maps1, maps2, units = (scaled(count, width) for count in (32, 64, 256))
    options: dict[str, Any] = {"padding": 1, "batch_norm": batch_norm, "activation": activation}
    features = nn.Sequential(
        conv_block(spec.channels, maps1, 4, stride=2, **options),
        conv_block(maps1, maps1, 3, **options),
        conv_block(maps1, maps2, 4, stride=2, **options),
        conv_block(maps2, maps2, 3, **options),
    )
    hidden = nn.Linear(flat_features(features, spec), units, bias=not batch_norm)
    norm = [nn.BatchNorm1d(units)] if batch_norm else []
    return nn.Sequential(*features, nn.Flatten(), hidden, *norm, ACTIVATIONS[activation](), nn.Linear(units, outputs))
