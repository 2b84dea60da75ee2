"""Building blocks that several networks share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from robustcnn.core.layer_kinds import Pointwise, Settling
from robustcnn.core.tanh import TanhBySigmoid

ActivationName = Literal["relu", "leaky_relu", "elu", "silu", "gelu", "softplus", "tanh", "scaled_tanh", "sigmoid"]
PoolName = Literal["max", "avg"]


class ScaledTanh(nn.Module, Settling):
    """1.7159 tanh(2x / 3), which maps +1 and -1 to themselves (LeCun et al. 1998, appendix A)."""

    def forward(self, values: Tensor) -> Tensor:
        return 1.7159 * torch.tanh(values * (2 / 3))

    def frozen(self) -> nn.Module:
        return TanhBySigmoid(1.7159, 2 / 3)


ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "softplus": nn.Softplus,
    "tanh": nn.Tanh,
    "scaled_tanh": ScaledTanh,
    "sigmoid": nn.Sigmoid,
}


def scaled(channels: int, width: float, *, multiple: int = 1) -> int:
    """`channels` times `width`, rounded to a `multiple` and never nothing."""
    return multiple * max(1, round(channels * width / multiple))


def pool_layer(name: PoolName, kernel: int, *, stride: int, padding: int = 0) -> nn.Module:
    if name == "max":
        return nn.MaxPool2d(kernel, stride, padding)
    # Padding takes no part in the average, so that a constant image stays constant up to its border.
    return nn.AvgPool2d(kernel, stride, padding, count_include_pad=False)


class DropoutPlace(nn.Identity, Pointwise):
    """Where dropout may act and does not; weights have the same names with dropout and without."""


def dropout_layer(share: float) -> nn.Module:
    """Drops this share of its units in training."""
    return nn.Dropout(share) if share else DropoutPlace()


def place_dropout(net: nn.Module, shares: tuple[float, ...], *, name: str) -> None:
    """Give each place for dropout a share of its own, in the order in which an image meets them."""
    places = [path for path, module in net.named_modules() if isinstance(module, nn.Dropout | DropoutPlace)]
    if len(places) != len(shares):
        raise ValueError(f"dropout of {name} has {len(places)} places, got {len(shares)} shares: {shares}")
    for path, share in zip(places, shares, strict=True):
        net.set_submodule(path, dropout_layer(share))


def conv_block(
    inputs: int,
    outputs: int,
    kernel: int,
    *,
    stride: int = 1,
    padding: int = 0,
    groups: int = 1,
    batch_norm: bool = False,
    activation: ActivationName = "relu",
) -> nn.Sequential:
    """Convolution, batch normalisation if asked for, activation; a bias only where no normalisation would undo it."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=not batch_norm)
    norm = [nn.BatchNorm2d(outputs)] if batch_norm else []
    return nn.Sequential(conv, *norm, ACTIVATIONS[activation]())


def linear_block(
    inputs: int, outputs: int, *, dropout: float = 0.0, activation: ActivationName = "relu"
) -> nn.Sequential:
    """A fully connected hidden layer whose units are dropped in training."""
    return nn.Sequential(nn.Linear(inputs, outputs), ACTIVATIONS[activation](), dropout_layer(dropout))
