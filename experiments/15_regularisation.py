"""Does regularisation or augmentation alone give robustness, and what does adversarial training cost?

One network, one training length, one thing changed at a time; judged by AutoPGD on test images over several eps, mean
over seeds. Adversarial training is given as many passes over the data, each of which costs several times as much.

The cost is J + lambda/m * sum |w| with L1 and J + lambda/m * sum w^2 with L2, m being the number of training pictures.
Histograms of the weights show what they do: L1 leaves many at nothing, L2 makes all of them smaller.

    python experiments/15_regularisation.py
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from statistics import mean

import torch
from lib.classroom import dense_weights, told
from lib.lesson import Lesson, lesson_arguments, lesson_options, percent

from robustcnn import Augment, DataConfig, FitConfig, OptimConfig, ThreatModel, build, evaluate, fit, load, seeded
from robustcnn.attacks import APGD
from robustcnn.core.runtime import global_seed
from robustcnn.models import PixelModel
from robustcnn.models.checkpoint import load as load_weights
from robustcnn.report.plots import histograms, training_effects
from robustcnn.train import Adversarial, Standard

EPS = 0.1
RADII = tuple(EPS * share for share in (0.1, 0.25, 0.5, 1.0))
BASE = FitConfig(epochs=8, batch_size=64, optim=OptimConfig(name="adam", lr=2e-3, schedule="cosine"), watch=0)
PGD = Adversarial(threat=ThreatModel(norm="linf", eps=EPS), steps=5, warmup=0.1)
MOVED = Augment(mirror=True, shift=2)
LATE = 3
"""Times the usual number of passes."""
SHOWN = ("plain", "L1", "L2")
FORMULAS = {"plain": "J", "L1": "J + lambda/m * sum |w|", "L2": "J + lambda/m * sum w^2"}
ALL = replace(
    BASE, l1=0.02, l2=2.0, augment=replace(MOVED, noise=0.1), objective=Standard(label_smoothing=0.3, mixup=1.0)
)
WAYS: dict[str, tuple[dict[str, object], FitConfig]] = {
    "plain": ({}, BASE),
    "stopped early": ({}, replace(BASE, patience=1)),
    "stopped late, last weights": ({}, replace(BASE, epochs=LATE * BASE.epochs)),
    "batch norm": ({"batch_norm": True}, BASE),
    "dropout 0.5": ({"dropout": 0.5}, BASE),
    "L1": ({}, replace(BASE, l1=0.02)),
    "L2": ({}, replace(BASE, l2=2.0)),
    "label smoothing 0.3": ({}, replace(BASE, objective=Standard(label_smoothing=0.3))),
    "mirror and shift": ({}, replace(BASE, augment=MOVED)),
    "mixup": ({}, replace(BASE, objective=Standard(mixup=1.0))),
    "noise 0.1": ({}, replace(BASE, augment=Augment(noise=0.1))),
    "all of these": ({"dropout": 0.5}, ALL),
    "adversarial": ({}, replace(BASE, objective=PGD)),
    "adversarial, mirror": ({}, replace(BASE, objective=PGD, augment=Augment(mirror=True))),
}
"""Options of the network, and the rest."""


def outcome(
    way: str, seed: int, data: DataConfig, count: int, epochs: int | None
) -> tuple[list[float], float, PixelModel]:
    """Accuracy at eps 0 and at each radius, the seconds of training, and the network."""
    train, validation, test = load(data)
    options, config = WAYS[way]
    if epochs:
        config = replace(config, epochs=epochs * (LATE if "late" in way else 1))
    start = time.process_time()
    with global_seed(seed):
        model = build("smallcnn", train.spec, width=0.25, **options)
    with tempfile.TemporaryDirectory() as folder:
        list(fit(model, train, validation, replace(config, seed=seed), folder=Path(folder), progress=False))
        model = load_weights(Path(folder), which="last" if "late" in way else "best")
    spent = time.process_time() - start
    balls = [ThreatModel(norm="linf", eps=eps) for eps in RADII]
    report = evaluate.evaluate(model, test.sample(count, generator=seeded(0)), [APGD(steps=40)], balls, seed=seed)
    shares = [report.clean.accuracy, *(each.robust for each in report.threats)]
    return [share.hits / share.count for share in shares], spent, model


def main() -> None:
    parser = lesson_options(__doc__, "15-regularisation")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--data", default="fashion-mnist")
    parser.add_argument("--images", type=int, default=10_000, help="to train on")
    parser.add_argument("--count", type=int, default=500, help="test images that are attacked")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, help="instead of each way's own")
    ways = ["plain", "stopped late, last weights", "batch norm", "L1", "L2"]
    args = lesson_arguments(parser, data="digits", ways=ways, seeds=[0], count=20, epochs=2)
    data = DataConfig(name=args.data, limit=args.images)
    facts = f"smallcnn of width 0.25, {args.images:,} images of {args.data}", f"AutoPGD-40 on {args.count}"
    drawn: dict[str, Mapping[float, list[float]]] = {}
    weights: dict[str, torch.Tensor] = {}
    with Lesson(args, *facts, f"seeds {args.seeds}, percent, mean ± standard deviation") as lesson:
        lesson.head("trained with", "clean", *(f"eps {eps:g}" for eps in RADII), "weights below 0.001", "CPU s")
        for way in args.ways:
            found, spent, nets = zip(
                *(outcome(way, seed, data, args.count, args.epochs) for seed in args.seeds), strict=True
            )
            shares = [list(each) for each in zip(*found, strict=True)]
            small = float((dense_weights(nets[0]).abs() < 1e-3).double().mean())
            lesson.row(way, *map(told, shares), percent(small), f"{mean(spent):.0f}")
            lesson.metrics({f"{way}/clean": mean(shares[0]), f"{way}/robust": mean(shares[-1]), f"{way}/sparse": small})
            drawn[way] = dict(zip((0.0, *RADII), shares, strict=True))
            if way in SHOWN:
                weights[f"{way}\n{FORMULAS[way]}"] = dense_weights(nets[0])
        lesson.picture("effects", training_effects(drawn))
        if weights:
            values = {name: each.tolist() for name, each in weights.items()}
            lesson.picture("weights", histograms(values, along="weight", reach=0.15))


if __name__ == "__main__":
    main()
