"""What a network of convolutions makes of images of a size."""

from __future__ import annotations

from torch import nn

from robustcnn.core.conv_arithmetic import window_of
from robustcnn.core.spec import ImageSpec

LARGE = 128
"""From this many pixels on, a network takes the paper's form for 224 pixels; below, its form for small images."""


def is_large(spec: ImageSpec) -> bool:
    return min(spec.height, spec.width) >= LARGE


def flat_features(layers: nn.Sequential, spec: ImageSpec) -> int:
    """How many numbers one image of `spec` leaves after a chain of layers, without running it."""
    channels, size = spec.channels, (spec.height, spec.width)
    for module in layers.modules():
        window = window_of(module, size)
        size = window.output(size) if window else size
        channels = module.out_channels if isinstance(module, nn.Conv2d) else channels
    return channels * size[0] * size[1]
