"""Does a classifier that starts from a DCGAN's discriminator learn better, or stand attacks better?

One architecture for all: the discriminator's trunk and a linear layer. The DCGAN saw all training images and no label.
`untrained` starts from a discriminator as it was before its first step, whose weights are smaller than `random` ones:
what pre-training brings lies beyond that. `frozen` trains the last layer alone, behind batch norm as it was at the
start: a trunk that was never trained has seen no statistics. `slow` gives the trunk a tenth of the learning rate. A
fifth of the labelled examples picks the best epoch. Robust is what stands PGD-20 with two restarts.

    python experiments/13_dcgan_initialisation.py --keep 13.jsonl --objectives standard adversarial
    python experiments/13_dcgan_initialisation.py --keep tiny.jsonl --data digits --labels 100 --seeds 0 --width 0.1 \
        --steps 60 --gan-steps 40 --count 50
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch
from bench import machine
from dcgans import BATCH, epochs_of, labelled, pretrained
from scipy.stats import t

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", default=["fashion-mnist", "digits"])
    parser.add_argument("--labels", type=int, nargs="+", default=[100, 1000, 0], help="how many; 0 for all")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--objectives", nargs="+", default=["standard"], choices=["standard", "adversarial"])
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=list(ARMS))
    parser.add_argument("--width", type=float, default=0.25, help="of both networks of the DCGAN")
    parser.add_argument("--steps", type=int, default=2000, help="of each training, about")
    parser.add_argument("--gan-steps", type=int, default=4000, help="of each pre-training, about")
    parser.add_argument("--eps", type=float, default=0.1, help="linf; half of it is tried too")
    parser.add_argument("--count", type=int, default=1000, help="test images")
    parser.add_argument(
        "--keep", type=Path, default=Path("13_dcgan.jsonl"), help="measured cells, which are not repeated"
    )
    parser.add_argument("--gans", type=Path, default=Path("13_dcgans"), help="folder of the pre-trainings")
    args = parser.parse_args()
    torch.set_num_threads(1)
    settings = {name: getattr(args, name) for name in ("width", "steps", "gan_steps", "eps", "count")}
    done = kept(args.keep, settings)
    print(f"{machine()}, torch {torch.__version__}, 1 thread; {settings}; seeds {args.seeds}; percent, mean ± half of")
    print(f"the 95 % interval over n seeds\n\n| data | labels | objective | start | n | {' | '.join(MEASURED)} |")
    print("|" + "---|" * (5 + len(MEASURED)))
    for data, labels, objective, arm in product(args.data, args.labels, args.objectives, args.arms):
        found = []
        for seed in args.seeds:
            cell = Cell(data, labels, objective, arm, seed)
            if cell not in done:
                done[cell] = measured(cell, args)
                row = {"cell": vars(cell), "settings": settings, "measured": done[cell]}
                with args.keep.open("a") as file:
                    file.write(json.dumps(row) + "\n")
            found.append(done[cell])
        columns = " | ".join(told([each[name] for each in found]) for name in MEASURED)
        print(f"| {data} | {labels or 'all'} | {objective} | {arm} | {len(found)} | {columns} |", flush=True)


if __name__ == "__main__":
    main()
