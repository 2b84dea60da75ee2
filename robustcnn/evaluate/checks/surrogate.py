"""A small network that learns to answer as another does: what fools the one may fool the other."""

from __future__ import annotations

import torch
from torch import nn

from robustcnn.core.losses import cross_entropy
from robustcnn.core.runtime import global_seed, seeded
from robustcnn.data import ResidentDataset
from robustcnn.evaluate.predict import predict
from robustcnn.models import build

STEPS = 200
BATCH = 64


def distilled(model: nn.Module, data: ResidentDataset, *, seed: int = 0) -> nn.Module:
    """Trained on the model's own answers, which is all that an attacker needs to ask for (Papernot et al. 2017)."""
    with global_seed(seed):
        student = build("mlp", data.spec, width=0.25).to(data.device)
    answers = predict(model, data)[:, : data.spec.num_classes].argmax(1)
    optimizer = torch.optim.Adam(student.parameters(), lr=2e-3)
    generator = seeded(seed)
    for _ in range(STEPS):
        rows = torch.randint(len(data), (BATCH,), generator=generator).to(data.device)
        optimizer.zero_grad()
        cross_entropy(student(data.images[rows]), answers[rows]).mean().backward()
        optimizer.step()
    return student.eval()
