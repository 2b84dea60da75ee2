"""The ways to start a classifier, with and without a DCGAN, and what each reaches; what is measured is kept."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from scipy.stats import t

from lib.dcgans import BATCH, epochs_of, labelled, pretrained
from robustcnn import FitConfig, OptimConfig, ThreatModel, build, evaluate, fit, load
from robustcnn.attacks import PGD
from robustcnn.core.runtime import global_seed, seeded
from robustcnn.data.registry import DataConfig
from robustcnn.models import ModelConfig, PixelModel
from robustcnn.models.dcgan import DcganConfig, classifier_from, discriminator
from robustcnn.train import Adversarial, Standard
from robustcnn.train.warm_start import read_source, start

ADAM = OptimConfig(name="adam", lr=1e-3, schedule="cosine")
PLAIN, SLOW = FitConfig(optim=ADAM), FitConfig(optim=replace(ADAM, trunk_lr=0.1))
FROZEN = replace(PLAIN, freeze="features")
ARMS = {
    "random": PLAIN,
    "random, frozen": FROZEN,
    "untrained": PLAIN,
    "untrained, frozen": FROZEN,
    "dcgan": PLAIN,
    "dcgan, slow": SLOW,
    "dcgan, frozen": FROZEN,
}
"""Where it starts, and how it is trained."""
MEASURED = ("accuracy", "f1", "auc", "robust at half eps", "robust")


@dataclass(frozen=True)
class Cell:
    """One training."""

    data: str
    labels: int
    objective: str
    arm: str
    seed: int


def measured(cell: Cell, args: argparse.Namespace) -> dict[str, float]:
    """What the trained model reaches on test images."""
    train, validation = labelled(cell.data, cell.labels, cell.seed)
    threat = ThreatModel(norm="linf", eps=args.eps)
    objective = Adversarial(threat=threat, steps=5, warmup=0.3) if cell.objective == "adversarial" else Standard()
    epochs = epochs_of(args.steps, len(train))
    config = replace(ARMS[cell.arm], epochs=epochs, batch_size=BATCH, objective=objective, seed=cell.seed, watch=0)
    model = _model(cell, args)
    list(fit(model, train, validation, config, progress=False))
    test = load(DataConfig(name=cell.data)).test
    test = test.sample(min(args.count, len(test)), generator=seeded(0))
    balls = [replace(threat, eps=args.eps / 2), threat]
    report = evaluate.evaluate(model, test, [PGD(steps=20, restarts=2)], balls, seed=cell.seed)
    shares = [report.clean.accuracy, *(each.robust for each in report.threats)]
    accuracy, half, whole = (share.hits / share.count for share in shares)
    return dict(zip(MEASURED, (accuracy, report.clean.f1_macro, report.clean.auc, half, whole), strict=True))


def _model(cell: Cell, args: argparse.Namespace) -> PixelModel:
    spec = load(DataConfig(name=cell.data)).train.spec
    config = ModelConfig(name="dcgan", width=args.width)
    if not cell.arm.startswith("dcgan"):
        with global_seed(cell.seed):
            untrained = cell.arm.startswith("untrained")
            gan = DcganConfig(width=args.width)
            return classifier_from(discriminator(spec, gan), spec) if untrained else build(config, spec)
    folder = pretrained(args.gans, cell.data, width=args.width, steps=args.gan_steps, seed=cell.seed)
    with global_seed(cell.seed):
        return start(read_source(str(folder)), config, spec).model


def told(values: Sequence[float]) -> str:
    """Percent: the mean, and over several seeds half the width of its 95 % interval (Student's t)."""
    if len(values) < 2:
        return f"{100 * mean(values):.1f}"
    half = t.ppf(0.975, len(values) - 1) * stdev(values) / len(values) ** 0.5
    return f"{100 * mean(values):.1f} ± {100 * half:.1f}"


def kept(path: Path, settings: dict[str, Any]) -> dict[Cell, dict[str, float]]:
    """Cells that an earlier call measured under the same settings."""
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []
    return {Cell(**row["cell"]): row["measured"] for row in rows if row["settings"] == settings}
