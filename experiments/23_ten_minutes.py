"""How robust does a PreAct-ResNet-18 get on CIFAR-10 in ten minutes of one GPU?

    python experiments/23_ten_minutes.py --minutes 10 --count 1000

An epoch is timed first, and as many are trained as fit into the minutes; its network is then judged by Swift and by
AutoAttack on test images. An interrupted run goes on where it stopped.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import torch
from lib.opening import options, read, say_machine, table_head, table_row
from lib.recipes import judged

from robustcnn import build, load
from robustcnn.attacks import AutoAttack, Swift
from robustcnn.runs.presets import preset
from robustcnn.runs.train_config import TrainConfig
from robustcnn.train.training import Training


def epoch_seconds(config: TrainConfig, batches: int) -> float:
    """Of one epoch, reckoned from the second pass over so many batches."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    train, validation, _ = (part.to(device) for part in load(config.data))
    assert config.fit.batch_size != "full"
    part = train.subset(batches * config.fit.batch_size)
    model = build(config.model, train.spec)
    training = Training(
        model, part, validation, config.fit, precision=config.precision, compiled=config.compile, progress=False
    )
    training.epoch()
    second = training.epoch()
    judging = second.seconds - len(part) / second.images_per_second
    return len(train) / second.images_per_second + judging


def fitted(config: TrainConfig, minutes: float, batches: int) -> TrainConfig:
    """With as many epochs as fit into the minutes; a run that has begun keeps its number."""
    spent = epoch_seconds(config, batches)
    epochs = max(1, int(60 * minutes / spent))
    print(f"an epoch takes {spent:.1f} s: {epochs} of them in {minutes:g} minutes", flush=True)
    return replace(config, name=f"{config.name}-{epochs}", fit=replace(config.fit, epochs=epochs))


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--preset", default="cifar10-minutes")
    parser.add_argument("--minutes", type=float, default=10, help="of training")
    parser.add_argument("--batches", type=int, default=20, help="that an epoch is reckoned from")
    parser.add_argument("--count", type=int, default=1000, help="test images that are attacked")
    parser.add_argument("--validation", type=int, default=1000, help="training images that pick the epoch")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--compile", action="store_true", help="the training")
    parser.add_argument("--runs", type=Path, default=Path("mlruns/experiment-23"), help="folder of the runs")
    quick = {"preset": "digits-quick-robust", "minutes": 0.02, "batches": 2, "count": 3, "validation": 200}
    args = read(parser, **quick, runs=Path("mlruns/quick-23"))
    base = preset(args.preset)
    config = replace(base, name=f"{args.preset}-{args.seed}", runs=args.runs, track=False, compile=args.compile)
    config = replace(config, fit=replace(config.fit, seed=args.seed, watch=min(args.validation, 500)))
    count = len(load(config.data).train) + len(load(config.data).validation)
    config = replace(config, data=replace(config.data, validation=args.validation / count))
    config = fitted(config, args.minutes, args.batches)
    start = time.perf_counter()
    lines = []
    for attack in (Swift(), AutoAttack()):
        found = judged(config, "best", [attack], config.fit.objective.threat, args.count)  # type: ignore[union-attr]
        lines.append((found.clean, type(attack).__name__, found.robust, found.epochs, f"{found.minutes:.1f}"))
        print(lines[-1], f"{time.perf_counter() - start:.0f} s", flush=True)
    say_machine(
        f"`{config.name}`", config.model.name, f"{count:,} training images, {args.validation:,} of them held out"
    )
    table_head("clean", "judged by", "robust (95 % interval)", "epochs", "minutes of training")
    for line in lines:
        table_row(*line)


if __name__ == "__main__":
    main()
