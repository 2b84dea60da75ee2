"""Networks without convolutions: logistic regression, multi-layer perceptron, maxout."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from robustcnn.core.spec import ImageSpec
from robustcnn.models.layers import ActivationName, dropout_layer, linear_block, scaled


def _pixels(spec: ImageSpec) -> int:
    return spec.channels * spec.height * spec.width


def logistic(spec: ImageSpec, outputs: int) -> nn.Module:
    """Softmax regression on the pixels."""
    return nn.Sequential(nn.Flatten(), nn.Linear(_pixels(spec), outputs))


def mlp(
    spec: ImageSpec,
    outputs: int,
    *,
    hidden: tuple[int, ...] = (512, 512),
    dropout: float = 0.0,
    activation: ActivationName = "relu",
    width: float = 1.0,
) -> nn.Module:
    """A multi-layer perceptron with dropout after each hidden layer."""
    units = [_pixels(spec), *(scaled(layer, width) for layer in hidden)]
    layers = [linear_block(*pair, dropout=dropout, activation=activation) for pair in pairwise(units)]
    return nn.Sequential(nn.Flatten(), *layers, nn.Linear(units[-1], outputs))


class Maxout(nn.Linear):
    """Units that each take the largest of `pieces` linear functions of the input."""

    def __init__(self, inputs: int, units: int, *, pieces: int) -> None:
        super().__init__(inputs, units * pieces)
        self.pieces = pieces

    def forward(self, values: Tensor) -> Tensor:
        pieces: Tensor = super().forward(values).unflatten(1, (-1, self.pieces))
        return pieces.amax(2)


def maxout(
    spec: ImageSpec, outputs: int, *, hidden: tuple[int, ...] = (240, 240), dropout: float = 0.5, width: float = 1.0
) -> nn.Module:
    """Goodfellow et al. 2013 for MNIST: units of 5 pieces; inputs are dropped at 0.4 times the hidden units' share."""
    units = [_pixels(spec), *(scaled(layer, width) for layer in hidden)]
    layers = [layer for pair in pairwise(units) for layer in (Maxout(*pair, pieces=5), dropout_layer(dropout))]
    # 0.4 * 0.5 is the paper's 0.2 for the inputs.
    return nn.Sequential(nn.Flatten(), dropout_layer(0.4 * dropout), *layers, nn.Linear(units[-1], outputs))
