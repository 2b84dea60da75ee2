"""Which network, with which options: what the command line asks for and a checkpoint remembers."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import get_args

from robustcnn.core.plain_data import shown
from robustcnn.models.layers import ACTIVATIONS, ActivationName, PoolName

WIDEST = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig:
    """A network by name; an option that is not given is as in the paper that proposed the network."""

    name: str = "bncnn"
    """logistic, mlp, maxout, lenet5, smallcnn, bncnn, facecnn, stridedcnn, provablecnn, alexnet, vgg11, vgg16,
    googlenet, resnet18, preactresnet18, wideresnet28-10 or dcgan (a discriminator's trunk with a linear layer)."""
    dropout: float | tuple[float, ...] | None = None
    """Share of the units that training drops, in [0, 1); several: one a place; 0 switches off the paper's own."""
    batch_norm: bool | None = None
    """Batch normalisation after every convolution."""
    activation: ActivationName | None = None
    """What follows every convolution and hidden layer."""
    pool: PoolName | None = None
    """How pooling layers join their windows."""
    width: float = 1.0
    """Multiplies the channels and hidden units of every layer."""
    hidden: tuple[int, ...] | None = None
    """Units of each hidden layer (mlp and maxout)."""
    rbf_output: bool = False
    """Class scores are minus the squared distances to fixed codes of +1 and -1 (lenet5)."""
    single_logit: bool = False
    """Two classes by one output z: the logits are [0, z], so that cross-entropy is binary cross-entropy."""

    narrow_init: bool = False
    """Start from small weights, with which interval bounds stay close: for training that certifies."""

    def __post_init__(self) -> None:
        if self.hidden is not None:
            # JSON knows lists only; equal configs must be equal.
            object.__setattr__(self, "hidden", tuple(self.hidden))
        shares = self.dropout if isinstance(self.dropout, tuple) else (self.dropout or 0.0,)
        for share in shares:
            if not 0 <= share < 1:
                raise ValueError(f"dropout is the share of units dropped and must lie in [0, 1), got {share:g}")
        if not self.width > 0:
            raise ValueError(f"width multiplies the channels and must be positive, got {self.width:g}")
        if self.width > WIDEST:
            raise ValueError(f"width multiplies the channels and must be at most {WIDEST:,}, got {self.width:g}")
        if self.activation is not None and self.activation not in ACTIVATIONS:
            raise ValueError(f"unknown activation {shown(self.activation)}; known: {', '.join(ACTIVATIONS)}")
        if self.pool is not None and self.pool not in get_args(PoolName):
            raise ValueError(f"unknown pool {shown(self.pool)}; known: {', '.join(get_args(PoolName))}")
        if self.hidden is not None and not (self.hidden and min(self.hidden) >= 1):
            raise ValueError(f"hidden needs at least one layer of at least one unit, got {self.hidden}")

    @property
    def given(self) -> dict[str, object]:
        """The options of the architecture that differ from their defaults."""
        values = {field.name: (getattr(self, field.name), field.default) for field in fields(self)}
        asked = {name: value for name, (value, default) in values.items() if value != default}
        return {name: value for name, value in asked.items() if name not in ("name", "single_logit", "narrow_init")}
