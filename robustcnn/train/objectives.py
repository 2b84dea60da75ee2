"""What training descends: a loss per example, from a model and a batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from robustcnn.data.augment import blend, draw_mixup
from robustcnn.losses import cross_entropy


class Objective(Protocol):
    """Anything that scores a batch while the model is in training mode."""

    def __call__(self, model: nn.Module, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Standard:
    """Cross-entropy on the training pictures as they are."""

    label_smoothing: float = 0.0
    """Share of the target spread evenly over all classes."""
    mixup: float = 0.0
    """When above 0, pictures and labels are blended in pairs with a share drawn from Beta(mixup, mixup)."""

    def __post_init__(self) -> None:
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"label_smoothing must lie in [0, 1), got {self.label_smoothing:g}")
        if self.mixup < 0:
            raise ValueError(f"mixup must not be negative, got {self.mixup:g}")

    def __call__(self, model: nn.Module, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        if not self.mixup:
            return cross_entropy(model(images), labels, smoothing=self.label_smoothing)
        share, partner = draw_mixup(images, self.mixup, generator)
        logits = model(blend(images, share, partner))
        # Cross-entropy is linear in the target, so the blended label needs no vector of probabilities.
        own, other = (cross_entropy(logits, each, smoothing=self.label_smoothing) for each in (labels, labels[partner]))
        return share * own + (1 - share) * other
