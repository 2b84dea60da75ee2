"""When does one-step training collapse, is it noticed, and what cures it? (Catastrophic overfitting at a large eps.)

Epoch by epoch, accuracy of validation images under one step (FGSM) and under many (PGD): where the network has learnt
to beat the one step, the first stays high and the second collapses; the alarm names the epoch.

    python experiments/16_overfitting.py
    python experiments/16_overfitting.py --objective mixture --data fashion-mnist --images 0 --model smallcnn \\
        --width 0.25 --eps 0.1 --epochs 8            half an hour
"""

from __future__ import annotations

import warnings
from dataclasses import replace

from lib.opening import options, read, say_machine, table_head, table_row

from robustcnn import FitConfig, OptimConfig, ThreatModel, build, fit, load
from robustcnn.core.results import EpochMetrics
from robustcnn.core.runtime import global_seed
from robustcnn.data.registry import DataConfig
from robustcnn.train import Adversarial, CatastrophicOverfitting, Fast, Mixture

WATCHED = 500
"""Validation images, where there are so many."""


ONE_STEP: dict[str, Fast | Mixture] = {"fast": Fast(), "mixture": Mixture()}


def ways(one_step: Fast | Mixture, threat: ThreatModel, epochs: int) -> dict[str, FitConfig]:
    one_step = replace(one_step, threat=threat)
    base = FitConfig(
        epochs=epochs,
        batch_size=64,
        optim=OptimConfig(name="adam", lr=2e-3, schedule="cosine"),
        objective=one_step,
        watch=WATCHED,
    )
    return {
        "one step": base,
        "one step, stop": replace(base, on_overfitting="stop"),
        "one step, roll back": replace(base, on_overfitting="rollback"),
        "one step, noise": replace(base, objective=one_step.cured()),
        "one step, GradAlign": replace(base, objective=Fast(threat=threat, grad_align=0.2)),
        "PGD of five steps": replace(base, objective=Adversarial(threat=threat, steps=5)),
    }


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--objective", choices=ONE_STEP, default="fast", help="what takes the one step")
    parser.add_argument("--data", default="digits")
    parser.add_argument("--model", default="bncnn")
    parser.add_argument("--width", type=float, default=0.5)
    parser.add_argument("--eps", type=float, default=0.3, help="linf radius to train for")
    parser.add_argument("--images", type=int, default=10_000, help="to train on; 0 for all")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", help="some of the ways")
    args = read(parser, epochs=2, width=0.25, only=["one step", "one step, noise"])
    train, validation, _ = load(DataConfig(name=args.data, limit=args.images or None))
    threat = ThreatModel(norm="linf", eps=args.eps)
    what = f"{args.model} of width {args.width:g}, {len(train):,} images of {args.data}"
    cells = f"FGSM / PGD-10 accuracy of {min(WATCHED, len(validation))} validation images in percent by epoch"
    say_machine(what, args.objective, threat, f"seed {args.seed}", cells)
    table_head("way", *range(1, args.epochs + 1), "alarm")
    for name, config in ways(ONE_STEP[args.objective], threat, args.epochs).items():
        if args.only and name not in args.only:
            continue
        with global_seed(args.seed):
            model = build(args.model, train.spec, width=args.width)
        with warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter("always")
            history = list(fit(model, train, validation, replace(config, seed=args.seed), progress=False))
        alarms = [str(each.message) for each in heard if issubclass(each.category, CatastrophicOverfitting)]
        cells = [*map(_told, history), *[""] * (args.epochs - len(history))]
        table_row(name, *cells, alarms[0] if alarms else "none")


def _told(epoch: EpochMetrics) -> str:
    assert epoch.fgsm_accuracy is not None
    assert epoch.robust_accuracy is not None
    return f"{100 * epoch.fgsm_accuracy:.0f} / {100 * epoch.robust_accuracy:.0f}"


if __name__ == "__main__":
    main()
