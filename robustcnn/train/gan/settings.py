"""What a pre-training is told: every number that shapes the result."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import get_args

from robustcnn.core.plain_data import did_you_mean
from robustcnn.train.gan.loss import GanLoss


@dataclass(frozen=True, kw_only=True, slots=True)
class GanConfig:
    """How a DCGAN is trained; the numbers not given are those of Radford et al. 2016."""

    epochs: int = 25
    """Passes over the training data."""
    batch_size: int = 128
    """Real images a step; as many are generated."""
    lr: float = 2e-4
    """Learning rate of the discriminator's Adam, and of the generator's unless that has its own."""
    generator_lr: float | None = None
    """Learning rate of the generator; `lr` when not given."""
    beta1: float = 0.5
    """Momentum of both Adams."""
    loss: GanLoss = "bce"
    """`bce` is the non-saturating loss; `hinge` goes well with spectral norm."""
    real_label: float = 0.9
    """One-sided label smoothing: what bce wants the discriminator to say of real images."""
    samples: int = 1000
    """Generated and real images that each epoch is judged on."""
    sync_norm: bool = True
    """With several processes batch norm sees the whole batch, as one would; without it its part, with less waiting."""
    seed: int = 0
    """Of the initial weights, the order of images and the latent vectors."""

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise ValueError(f"epochs must be at least 1, got {self.epochs}")
        if self.batch_size < 2:
            raise ValueError(f"batch_size must be at least 2 (batch norm cannot do with one), got {self.batch_size}")
        for name, rate in (("lr", self.lr), ("generator_lr", self.rate_of_generator)):
            if not (rate > 0 and math.isfinite(rate)):
                raise ValueError(f"{name} must be a positive number, got {rate:g}")
        if not 0 <= self.beta1 < 1:
            raise ValueError(f"beta1 must lie in [0, 1), got {self.beta1:g}")
        if self.loss not in get_args(GanLoss):
            raise ValueError(f"unknown loss {self.loss!r}{did_you_mean(self.loss, get_args(GanLoss))}")
        if not 0.5 < self.real_label <= 1:
            raise ValueError(f"real_label must lie in (0.5, 1], got {self.real_label:g} (0.9 is usual, 1 no smoothing)")
        if self.samples < 2:
            raise ValueError(f"samples must be at least 2, got {self.samples}")

    @property
    def rate_of_generator(self) -> float:
        return self.lr if self.generator_lr is None else self.generator_lr
