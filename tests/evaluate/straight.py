"""A linear model, of which every answer is known, and attacks that do what they are told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from robustcnn.attacks import FGSM
from robustcnn.core.norms import NormName
from robustcnn.core.runtime import seeded
from robustcnn.core.threat import ThreatModel
from robustcnn.data.resident import ResidentDataset, spec_of

DUAL = {"linf": 1, "l2": 2, "l1": torch.inf}
EPS: dict[NormName, tuple[float, ...]] = {
    "linf": (4 / 255, 8 / 255, 16 / 255),
    "l2": (0.05, 0.1, 0.2),
    "l1": (0.1, 0.3),
}
STEEPEST = FGSM(loss="margin", share=0)
"""In one step at the worst case of a linear model."""


class Linear(nn.Module):
    """Two classes, whose logits differ by twice a linear function of the pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(16, generator=seeded(2)))
        self.bias = -0.5 * self.weight.detach().sum().item()

    def forward(self, images: Tensor) -> Tensor:
        lead = images.flatten(1) @ self.weight + self.bias
        return torch.stack([-lead, lead], 1)


def examples() -> ResidentDataset:
    """80 images far from the bounds; labels are as the linear model says, but for every tenth."""
    images = torch.randint(90, 166, (80, 1, 4, 4), generator=seeded(1), dtype=torch.uint8)
    labels = Linear()(images / 255).argmax(1)
    labels[::10] = 1 - labels[::10]
    return ResidentDataset(images=images, labels=labels, spec=spec_of(images, ("no", "yes")), name="grey")


def room(data: ResidentDataset, norm: NormName) -> Tensor:
    """How far each image is from the linear model's boundary; negative where it is on the wrong side."""
    model = Linear().double()
    lead = (data.images.flatten(1).double() / 255) @ model.weight + model.bias
    side: Tensor = torch.where(data.labels == 1, lead, -lead) / model.weight.norm(p=DUAL[norm])
    return side.detach()


def balls(norm: NormName, *eps: float) -> tuple[ThreatModel, ...]:
    base = ThreatModel(norm=norm, eps=0)
    return tuple(replace(base, eps=each) for each in eps or EPS[norm])


@dataclass(frozen=True)
class Doing:
    """Answers what the function makes of model, images, labels and threat."""

    name: str
    answer: Callable[[nn.Module, Tensor, Tensor, ThreatModel], Tensor]

    def __repr__(self) -> str:
        return self.name

    def __call__(self, model: nn.Module, images: Tensor, labels: Tensor, threat: ThreatModel, **_: Any) -> Tensor:
        return self.answer(model, images, labels, threat)


def adding(change: float) -> Doing:
    """Adds this to every pixel, whatever the ball."""
    return Doing(f"adding {change:g}", lambda _model, images, _labels, _threat: images + change)
