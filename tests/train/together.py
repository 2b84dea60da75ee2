"""Trainings for one process and for several: run as a script under torchrun, it writes what came out."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import torch
from fitting import QUICK, bars, fresh
from gan.gan_examples import blobs, networks

from robustcnn import Augment, FitConfig, OptimConfig, ThreatModel, fit
from robustcnn.core.meeting import joined
from robustcnn.core.ranks import ALONE, Ranks
from robustcnn.core.runtime import seeded
from robustcnn.models import PixelModel
from robustcnn.train import Adversarial, Fast, Free, GanConfig, Ibp, Mart, Standard, Trades, pretrain

THREAT = ThreatModel(norm="linf", eps=0.1)
PLAIN = replace(QUICK, epochs=2, optim=OptimConfig(lr=0.02), watch=30)
CONFIGS = {
    "clean": replace(PLAIN, augment=Augment(shift=1, mirror=True, noise=0.02), clip=1.0, l2=0.1),
    "pgd": replace(PLAIN, objective=Adversarial(threat=THREAT, steps=2)),
    "trades": replace(PLAIN, objective=Trades(threat=THREAT, steps=2)),
    "mart": replace(PLAIN, objective=Mart(threat=THREAT, steps=2)),
    "free": replace(PLAIN, objective=Free(threat=THREAT, replays=3)),
    "fast": replace(PLAIN, objective=Fast(threat=THREAT, grad_align=0.2)),
    "awp": replace(PLAIN, objective=Adversarial(threat=THREAT, steps=2), awp=0.01),
    "ema": replace(PLAIN, ema=0.9),
    "mixup": replace(PLAIN, objective=Standard(mixup=0.5)),
    "ibp": replace(PLAIN, objective=Ibp(threat=THREAT, warmup=0.5, clean=0.0)),
    "l2": replace(PLAIN, objective=Adversarial(threat=ThreatModel(norm="l2", eps=0.5), steps=2)),
}
"""Of the 180 training images, batches of 32 leave one of 20 for the end."""


def trained(
    config: FitConfig, ranks: Ranks = ALONE, *, name: str = "bncnn", dropout: float = 0.0
) -> tuple[list[list[float]], PixelModel]:
    """Losses and accuracies, epoch by epoch, and the model."""
    train, validation = bars().split(0.25, generator=seeded(0))
    model = fresh(train, name, width=0.1, dropout=dropout)
    history = list(fit(model, train, validation, config, progress=False, ranks=ranks))
    return [
        [each.train_loss, each.valid_loss, each.valid_accuracy, each.robust_accuracy or 0.0] for each in history
    ], model


def pretrained(ranks: Ranks = ALONE) -> list[list[float]]:
    """The same of a DCGAN."""
    data = blobs(90)
    config = GanConfig(epochs=2, batch_size=32, samples=20)
    history = pretrain(*networks(data), data, config, progress=False, ranks=ranks)
    return [[each.generator_loss, each.discriminator_loss, each.accuracy_on_real, each.frechet] for each in history]


def begun(ranks: Ranks) -> list[float]:
    """The first of two epochs, kept in the folder that the results go to."""
    train, validation = bars().split(0.25, generator=seeded(0))
    folder = Path(sys.argv[1]).parent / "begun"
    epochs = fit(fresh(train, "bncnn", width=0.1), train, validation, CONFIGS["ema"], folder=folder, ranks=ranks)
    return [next(epochs).train_loss]


def failed(ranks: Ranks) -> list[str]:
    """What the first process says of a trouble of the second, and of one that they have together."""

    def work() -> None:
        if ranks.rank == 1:
            raise FileNotFoundError("no such file here")

    said = []
    for trouble in (lambda: ranks.each(work), lambda: ranks.alike("data", ranks.rank)):
        try:
            trouble()
        except Exception as problem:
            said.append(f"{type(problem).__name__}: {problem}")
    return said


MORE = {
    "dcgan": pretrained,
    "begun": begun,
    "failed": failed,
    "dropout": lambda ranks: trained(CONFIGS["pgd"], ranks, dropout=0.2)[0],
    "recomputed": lambda ranks: trained(replace(CONFIGS["trades"], checkpoint_activations=True), ranks)[0],
    "apart": lambda ranks: trained(replace(PLAIN, sync_norm=False), ranks)[0],
}

if __name__ == "__main__":
    torch.set_num_threads(1)
    found = {}
    with joined() as group:
        for case in sys.argv[2:]:
            found[case] = MORE[case](group) if case in MORE else trained(CONFIGS[case], group)[0]
        if group.leads:
            Path(sys.argv[1]).write_text(json.dumps(found))
