"""How robust do the adversarial presets get? Each is trained once and judged by AutoAttack on test images.

    python experiments/07_robust_recipes.py mnist-madry fashion-trades

A run that was interrupted, in training or in judging, goes on where it stopped; a finished one is only printed.
--smoke makes minutes of any preset, real data included, to see that it works.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from lib.opening import options, read, say_machine, table_head, table_row
from lib.recipes import judged

from robustcnn.attacks import AutoAttack
from robustcnn.models.checkpoint import Which
from robustcnn.runs.presets import PRESETS, preset
from robustcnn.runs.train_config import TrainConfig

HEAD = ("preset", "seed", "against", "weights", "clean", "under AutoAttack (95 % interval)", "epochs", "minutes", "aim")
AIMS = {
    "mnist-madry": "98.3 / 89 in 90 min",
    "mnist-fast": "- / 85 in 15 min",
    "fashion-trades": "84 / 76 in 90 min",
    "cifar10-fast": "- / 44 in 2 min of a GPU",
    "cifar10-pgd": "- / 49 in 10 min of a GPU",
    "cifar10-trades-awp": "- / 51.5 in 25 min of a GPU",
}
"""Clean accuracy / accuracy under attack, and the time to train."""


def row(config: TrainConfig, which: Which, count: int) -> tuple[object, ...]:
    """The run's line in the table."""
    assert config.fit.watched is not None
    found = judged(config, which, [AutoAttack()], config.fit.watched, count)
    aim = AIMS.get(config.name.rpartition("-")[0], "")
    cells = (f"`{config.name}`", config.fit.seed, config.fit.watched, which, found.clean, found.robust)
    return (*cells, found.epochs, f"{found.minutes:.0f}", aim)


def smoke(config: TrainConfig) -> TrainConfig:
    """The same, on 500 images for an epoch, by a network of an eighth of the width."""
    return replace(
        config,
        name=f"smoke-{config.name}",
        data=replace(config.data, limit=500),
        model=replace(config.model, width=0.125),
        fit=replace(config.fit, epochs=1, watch=50),
        track=False,
    )


def main() -> None:
    parser = options(__doc__)
    watched = [name for name, entry in PRESETS.items() if entry.config.fit.watched]
    parser.add_argument(
        "presets", nargs="*", default=["mnist-madry", "fashion-trades"], help=f"of {', '.join(watched)}"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--count", type=int, default=1000, help="test images that AutoAttack is given")
    parser.add_argument("--weights", nargs="+", choices=["best", "last"], default=["best"], help="of which epoch")
    parser.add_argument("--runs", type=Path, default=Path("mlruns/checkpoints"), help="folder of the runs")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32", help="of the training")
    parser.add_argument("--smoke", action="store_true", help="one epoch of 500 images by a tiny network")
    args = read(parser, presets=["digits-quick-robust"], smoke=True, count=4)
    lines = []
    for name in args.presets:
        for seed in args.seeds:
            base = preset(name)
            config = replace(base, name=f"{name}-{seed}", runs=args.runs, fit=replace(base.fit, seed=seed))
            config = replace(config, precision=args.precision)
            config = smoke(config) if args.smoke else config
            lines += [row(config, which, args.count) for which in args.weights]
    print()
    say_machine()
    table_head(*HEAD)
    for line in lines:
        table_row(*line)


if __name__ == "__main__":
    main()
