"""Small pictures and networks that the tests of training share."""

from __future__ import annotations

import torch
from torch import Tensor

from robustcnn import FitConfig, OptimConfig, ResidentDataset, build
from robustcnn.core.runtime import global_seed, seeded
from robustcnn.data.resident import spec_of
from robustcnn.models import PixelModel


def bars(count: int = 240, classes: int = 2) -> ResidentDataset:
    """Pictures whose class is the third of the picture that holds a bright bar, half hidden in noise."""
    generator = seeded(0)
    labels = torch.arange(count) % classes
    images = torch.randint(0, 120, (count, 1, 12, 12), dtype=torch.uint8, generator=generator)
    for label in range(classes):
        images[labels == label, :, 4 * label + 1 : 4 * label + 3] += 100
    return ResidentDataset(images=images, labels=labels, spec=spec_of(images, tuple("abc"[:classes])), name="bars")


def parts(classes: int = 2) -> tuple[ResidentDataset, ResidentDataset]:
    return bars(classes=classes).split(0.25, generator=seeded(0))


def fresh(data: ResidentDataset, name: str = "smallcnn", **options: object) -> PixelModel:
    with global_seed(0):
        return build(name, data.spec, **(({"width": 0.1} if name == "smallcnn" else {}) | options))


QUICK = FitConfig(epochs=3, batch_size=32, optim=OptimConfig(lr=0.05))


def weights(model: PixelModel) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(ones: dict[str, Tensor], others: dict[str, Tensor]) -> bool:
    return all(torch.equal(ones[name], others[name]) for name in ones)
