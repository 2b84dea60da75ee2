"""Defensive distillation: a network that learns soft answers at a high temperature (Papernot et al. 2016)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn

from robustcnn.core.losses import cross_entropy
from robustcnn.core.runtime import evaluating


@dataclass(frozen=True, kw_only=True, slots=True)
class Distilled:
    """Training objective: cross-entropy at a temperature, with a teacher's answers, or the labels, as the target.

    The teacher is trained by it without a teacher, the student with one. Used at temperature 1, a student has logits so
    large that its cross-entropy rounds to 0, and the slope of it too: that stops only who climbs cross-entropy.
    Let the training's `monitor` be valid_accuracy, because the loss at temperature 1 says little.
    """

    teacher: nn.Module | None = field(default=None, repr=False)
    """Trained at the same temperature; None for the first of the two trainings."""
    temperature: float = 20.0
    """What logits are divided by before the softmax."""

    name: ClassVar[str] = "distilled"

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ValueError(f"temperature must be positive, got {self.temperature:g}")

    def __call__(self, model: nn.Module, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:  # noqa: ARG002
        return cross_entropy(model(images) / self.temperature, self._target(images, labels))

    @torch.no_grad()
    def _target(self, images: Tensor, labels: Tensor) -> Tensor:
        if self.teacher is None:
            return labels
        with evaluating(self.teacher):
            answers: Tensor = self.teacher(images) / self.temperature
        return answers.softmax(1)
