"""Small networks that learned an easy task, to be checked as they are or with something done to them."""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F
from torch import nn

from robustcnn.attacks import FGSM
from robustcnn.core.runtime import global_seed, seeded
from robustcnn.core.threat import ThreatModel
from robustcnn.data import ResidentDataset
from robustcnn.data.resident import spec_of
from robustcnn.models import build


def bars(count: int) -> ResidentDataset:
    """Noise of 12x12 pixels, half of them black, with one faint bar that tells the class."""
    labels = torch.arange(count) % 3
    images = (torch.rand(count, 1, 12, 12, generator=seeded(1)) * 200 - 60).clamp_min(0)
    for image, label in zip(images, labels.tolist(), strict=True):
        image[:, :, 4 * label : 4 * label + 4] += 60
    pixels = images.to(torch.uint8)
    return ResidentDataset(images=pixels, labels=labels, spec=spec_of(pixels, ("left", "middle", "right")), name="bars")


DATA = bars(200)


def trained(name: str, *, eps: float = 0.0, **options: float) -> nn.Module:
    """A network that learned the bars, against FGSM where there is an `eps`."""
    with global_seed(0):
        model = build(name, DATA.spec, **options)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(12):
        for images, labels in DATA.batches(50):
            shown = FGSM()(model, images, labels, ThreatModel(norm="linf", eps=eps))
            optimizer.zero_grad()
            F.cross_entropy(model(shown), labels).backward()
            optimizer.step()
    return model.eval()


VICTIMS = {
    "linear": lambda: trained("logistic"),
    "network": lambda: trained("smallcnn", width=0.1),
    "network with batch norm": lambda: trained("bncnn", width=0.1),
    "robust network": lambda: trained("smallcnn", width=0.1, eps=0.05),
}


@cache
def victim(kind: str) -> nn.Module:
    return VICTIMS[kind]()
