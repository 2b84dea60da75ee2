"""What the two networks of a GAN descend, from the discriminator's logits: positive says real."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor

GanLoss = Literal["bce", "hinge"]


def discriminator_loss(name: GanLoss, real: Tensor, generated: Tensor, *, real_label: float) -> Tensor:
    """Mean over real logits plus mean over generated ones; `real_label` is for bce."""
    if name == "hinge":
        return F.relu(1 - real).mean() + F.relu(1 + generated).mean()
    # One-sided: a target above 0 for generated images would make the generator keep what it does wrong.
    return _bce(real, real_label) + _bce(generated, 0.0)


def generator_loss(name: GanLoss, generated: Tensor) -> Tensor:
    """The non-saturating loss for bce: how far the discriminator is from calling the images real."""
    return -generated.mean() if name == "hinge" else _bce(generated, 1.0)


def _bce(logits: Tensor, label: float) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, logits.new_full((), label).expand_as(logits))
