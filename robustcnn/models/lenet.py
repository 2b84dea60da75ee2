"""LeNet-5 as published (LeCun et al. 1998), layer by layer under the paper's names."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

from robustcnn.core.conv_arithmetic import padding_for
from robustcnn.core.layer_kinds import Settling
from robustcnn.core.spec import ImageSpec
from robustcnn.models.layers import ACTIVATIONS, ActivationName, PoolName, dropout_layer, pool_layer, scaled
from robustcnn.models.sizes import flat_features

_CONNECTIONS = "012 123 234 345 045 015 0123 1234 2345 0345 0145 0125 0134 1245 0235 012345"
TABLE_I = [[int(source) for source in sources] for sources in _CONNECTIONS.split()]
"""The maps of S2 that each map of C3 sees."""


class MaskedConv2d(nn.Conv2d, Settling):
    """A convolution in which output map i sees the input maps `connected[i]` only.

    It runs as one dense convolution, which is faster than sixteen small ones; weights that the table leaves out are
    zero and get no gradient, so they stay zero.
    """

    mask: Tensor

    def __init__(self, inputs: int, connected: list[list[int]], kernel: int, *, bias: bool) -> None:
        super().__init__(inputs, len(connected), kernel, bias=bias)
        mask = [[float(source in sources) for source in range(inputs)] for sources in connected]
        self.register_buffer("mask", torch.tensor(mask)[:, :, None, None])
        missing = inputs * len(connected) - sum(len(sources) for sources in connected)
        self.unconnected = missing * kernel * kernel
        """How many weights the table leaves out."""

    def forward(self, images: Tensor) -> Tensor:
        maps: Tensor = self._conv_forward(images, self.weight * self.mask, self.bias)
        return maps

    def frozen(self) -> nn.Conv2d:
        """The plain convolution that computes the same as long as no weight moves."""
        plain = nn.Conv2d(self.in_channels, self.out_channels, self.kernel_size[0], bias=self.bias is not None)
        plain.weight, plain.bias = nn.Parameter((self.weight * self.mask).detach(), requires_grad=False), self.bias
        return plain


class MapScale(nn.Module):
    """One trainable coefficient and bias a map: what makes the paper's subsampling layers more than an average."""

    def __init__(self, maps: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(maps, 1, 1))
        self.bias = nn.Parameter(torch.zeros(maps, 1, 1))

    def forward(self, maps: Tensor) -> Tensor:
        return maps * self.weight + self.bias


class RbfOutput(nn.Module):
    """Minus the squared distance to one fixed code of +1 and -1 a class.

    The paper draws its codes as 7x12 pictures of the ten digits; here they are random signs, for any classes.
    """

    codes: Tensor

    def __init__(self, inputs: int, classes: int) -> None:
        super().__init__()
        self.register_buffer("codes", torch.randint(0, 2, (classes, inputs)).float() * 2 - 1)

    def forward(self, features: Tensor) -> Tensor:
        # |f - c|^2 = f.f - 2 f.c + c.c, which needs no (N, K, units) tensor.
        squares = features.square().sum(1, keepdim=True) + self.codes.square().sum(1)
        return 2 * features @ self.codes.T - squares


def _missing(size: int) -> int:
    """Padding on each side that makes 32 pixels, as far as a 5x5 window still sees a pixel of the image."""
    return min(padding_for("full", 5), max(0, (33 - size) // 2))


def lenet5(
    spec: ImageSpec,
    outputs: int,
    *,
    dropout: float = 0.0,
    batch_norm: bool = False,
    activation: ActivationName = "scaled_tanh",
    pool: PoolName | None = None,
    width: float = 1.0,
    rbf_output: bool = False,
) -> nn.Module:
    """Images below 32 pixels are padded by up to 4 on each side, as the paper pads 28 to 32.

    C3's partial connections are a table for 6 and 16 maps: other widths connect everything.
    """
    if rbf_output and outputs == 1:
        raise ValueError("rbf_output needs one code a class and single_logit has one output: choose one of the two")
    maps1, maps3, maps5, units = (scaled(count, width) for count in (6, 16, 120, 84))
    act, bias = ACTIVATIONS[activation], not batch_norm
    padding = (_missing(spec.height), _missing(spec.width))

    def normed(conv: nn.Conv2d) -> nn.Sequential:
        return nn.Sequential(conv, *([nn.BatchNorm2d(conv.out_channels)] if batch_norm else []), act())

    def subsampling(maps: int) -> nn.Module:
        if pool is not None:
            return pool_layer(pool, 2, stride=2)
        return nn.Sequential(pool_layer("avg", 2, stride=2), MapScale(maps), act())

    partial = (maps1, maps3) == (6, 16)
    features = OrderedDict[str, nn.Module](
        C1=normed(nn.Conv2d(spec.channels, maps1, 5, padding=padding, bias=bias)),
        S2=subsampling(maps1),
        C3=normed(MaskedConv2d(6, TABLE_I, 5, bias=bias) if partial else nn.Conv2d(maps1, maps3, 5, bias=bias)),
        S4=subsampling(maps3),
        C5=normed(nn.Conv2d(maps3, maps5, 5, bias=bias)),
    )
    flat = flat_features(nn.Sequential(features), spec)
    head = OrderedDict[str, nn.Module](
        flatten=nn.Sequential(nn.Flatten(), dropout_layer(dropout)),
        F6=nn.Sequential(nn.Linear(flat, units), act(), dropout_layer(dropout)),
        output=RbfOutput(units, outputs) if rbf_output else nn.Linear(units, outputs),
    )
    return nn.Sequential(features | head)
