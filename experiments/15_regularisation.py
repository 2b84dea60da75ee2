"""Does regularisation or augmentation alone give robustness, and what does adversarial training cost?

One network, one training length, one thing changed at a time; judged by AutoPGD on test images over several eps, mean
over seeds. Adversarial training is given as many passes over the data, each of which costs several times as much.

    python experiments/15_regularisation.py --figure experiments/results/15_regularisation.png
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev

from lib.opening import options, read, say_machine, table_head, table_row

from robustcnn import Augment, FitConfig, OptimConfig, ThreatModel, build, evaluate, fit, load
from robustcnn.attacks import APGD
from robustcnn.core.runtime import global_seed, seeded
from robustcnn.data.registry import DataConfig
from robustcnn.report.plots import png, training_effects
from robustcnn.train import Adversarial, Standard

EPS = 0.1
RADII = tuple(EPS * share for share in (0.1, 0.25, 0.5, 1.0))
BASE = FitConfig(epochs=8, batch_size=64, optim=OptimConfig(name="adam", lr=2e-3, schedule="cosine"), watch=0)
PGD = Adversarial(threat=ThreatModel(norm="linf", eps=EPS), steps=5, warmup=0.1)
MOVED = Augment(mirror=True, shift=2)
WAYS: dict[str, tuple[float, FitConfig]] = {
    "plain": (0.0, BASE),
    "dropout 0.5": (0.5, BASE),
    "L1": (0.0, replace(BASE, l1=0.02)),
    "L2": (0.0, replace(BASE, l2=2.0)),
    "label smoothing 0.3": (0.0, replace(BASE, objective=Standard(label_smoothing=0.3))),
    "mirror and shift": (0.0, replace(BASE, augment=MOVED)),
    "mixup": (0.0, replace(BASE, objective=Standard(mixup=1.0))),
    "noise 0.1": (0.0, replace(BASE, augment=Augment(noise=0.1))),
    "all of these": (
        0.5,
        replace(
            BASE, l1=0.02, l2=2.0, augment=replace(MOVED, noise=0.1), objective=Standard(label_smoothing=0.3, mixup=1.0)
        ),
    ),
    "adversarial": (0.0, replace(BASE, objective=PGD)),
    "adversarial, mirror": (0.0, replace(BASE, objective=PGD, augment=Augment(mirror=True))),
}
"""Dropout, and the rest."""


def outcome(way: str, seed: int, data: DataConfig, count: int, epochs: int | None) -> tuple[list[float], float]:
    """Accuracy at eps 0 and at each radius, and the seconds of training."""
    train, validation, test = load(data)
    dropout, config = WAYS[way]
    config = replace(config, epochs=epochs or config.epochs)
    start = time.process_time()
    with global_seed(seed):
        model = build("smallcnn", train.spec, width=0.25, dropout=dropout)
    list(fit(model, train, validation, replace(config, seed=seed), progress=False))
    spent = time.process_time() - start
    balls = [ThreatModel(norm="linf", eps=eps) for eps in RADII]
    report = evaluate.evaluate(model, test.sample(count, generator=seeded(0)), [APGD(steps=40)], balls, seed=seed)
    shares = [report.clean.accuracy, *(each.robust for each in report.threats)]
    return [share.hits / share.count for share in shares], spent


def told(values: list[float]) -> str:
    """Mean and, over more than one seed, standard deviation, in percent."""
    scatter = f" ± {100 * stdev(values):.1f}" if len(values) > 1 else ""
    return f"{100 * mean(values):.1f}{scatter}"


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--images", type=int, default=10_000, help="to train on")
    parser.add_argument("--count", type=int, default=500, help="test images that are attacked")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--figure", type=Path, help="PNG to draw")
    parser.add_argument("--data", default="fashion-mnist")
    parser.add_argument("--epochs", type=int, help="instead of each way's own")
    args = read(parser, data="digits", ways=["plain", "L1", "mixup"], seeds=[0], count=20, epochs=2)
    data = DataConfig(name=args.data, limit=args.images)
    say_machine(
        f"smallcnn of width 0.25, {args.images:,} images of {args.data}, {args.epochs or BASE.epochs} epochs",
        f"AutoPGD-40 on {args.count} test images",
        f"seeds {args.seeds}, percent, mean ± standard deviation",
    )
    table_head("trained with", "clean", *(f"eps {eps:g}" for eps in RADII), "CPU s")
    drawn: dict[str, Mapping[float, list[float]]] = {}
    for way in args.ways:
        found, spent = zip(*(outcome(way, seed, data, args.count, args.epochs) for seed in args.seeds), strict=True)
        shares = [list(each) for each in zip(*found, strict=True)]
        table_row(way, *map(told, shares), f"{mean(spent):.0f}")
        drawn[way] = dict(zip((0.0, *RADII), shares, strict=True))
    if args.figure:
        args.figure.write_bytes(png(training_effects(drawn)))


if __name__ == "__main__":
    main()
