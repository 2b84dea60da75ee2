"""How a training goes, divergence included, and how far a batch's gradient is from the whole one."""

from __future__ import annotations

import torch

from robustcnn import FitConfig, build, fit, seeded
from robustcnn.core.losses import cross_entropy
from robustcnn.core.results import EpochMetrics
from robustcnn.core.runtime import global_seed
from robustcnn.data.registry import Splits
from robustcnn.train import TrainingDiverged

OPTIONS = {"smallcnn": {"width": 0.25}}
"""Of networks that would take a CPU too long."""


def history(data: Splits, config: FitConfig, net: str) -> tuple[list[EpochMetrics], str]:
    """All epochs, and what ended them early."""
    with global_seed(config.seed):
        model = build(net, data.train.spec, **OPTIONS.get(net, {}))
    found: list[EpochMetrics] = []
    try:
        found.extend(fit(model, data.train, data.validation, config, progress=False))
    except TrainingDiverged as problem:
        return found, str(problem).partition(";")[0]
    return found, ""


def spread(data: Splits, net: str, sizes: list[int], draws: int = 16) -> dict[int, float]:
    """Of the gradient at the start: its deviation between batches as a share of the whole gradient's length."""
    with global_seed(0):
        model = build(net, data.train.spec, **OPTIONS.get(net, {}))

    def gradient(rows: torch.Tensor) -> torch.Tensor:
        images, labels = next(data.train.subset(rows).batches(len(rows)))
        loss = cross_entropy(model(images), labels).mean()
        return torch.cat([each.flatten() for each in torch.autograd.grad(loss, list(model.parameters()))])

    generator, everything = seeded(0), gradient(torch.arange(min(2000, len(data.train))))
    found = {}
    for size in sizes:
        batches = [gradient(torch.randint(len(data.train), (size,), generator=generator)) for _ in range(draws)]
        away = torch.stack([(batch - everything).norm() for batch in batches])
        found[size] = float((away / everything.norm()).square().mean().sqrt())
    return found


def verdict(epochs: list[EpochMetrics]) -> str:
    """What a finished training did, by its training loss; that of chance in ten classes is 2.3."""
    first, last = epochs[0].train_loss, epochs[-1].train_loss
    if last > first or last > CHANCE:
        return "too high: the loss does not fall"
    return "too low: hardly moved" if last > 0.8 * min(first, CHANCE) else "learnt"


CHANCE = 2.3
