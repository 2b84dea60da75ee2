"""What do the presets reach? Each is trained as `robustcnn train PRESET` does and tested once.

python experiments/02_recipes.py fashion-smallcnn signs-bncnn --seeds 0 1
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from pathlib import Path

from lib.opening import options, read, say_machine, table_head, table_row

from robustcnn.runs import train as runs
from robustcnn.runs.presets import PRESETS, preset

SAID = {
    "fashion-smallcnn": ">= 92.5 %",
    "signs-bncnn": "95-99 %",
    "cifar10-resnet18": ">= 94 %",
    "fashion-lenet5": "about 90 %",
}
"""What each is meant to reach."""


def main() -> None:
    parser = options(__doc__)
    parser.add_argument(
        "presets", nargs="*", default=["fashion-smallcnn", "signs-bncnn"], help=f"of {', '.join(PRESETS)}"
    )
    parser.add_argument("--epochs", type=int, help="instead of the preset's own")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    args = read(parser, presets=["digits-quick"], epochs=1)
    say_machine("minutes are wall clock")
    table_head(
        "preset",
        "meant to reach",
        "seed",
        "test accuracy, best epoch",
        "last epoch",
        "test images",
        "epochs",
        "minutes",
    )
    with tempfile.TemporaryDirectory() as folder:
        for name in args.presets:
            for seed in args.seeds:
                base = preset(name)
                fit = replace(base.fit, seed=seed, epochs=args.epochs or base.fit.epochs)
                start = time.perf_counter()
                done = runs.train(
                    replace(base, name=f"{name}-{seed}", runs=Path(folder), fit=fit, track=not args.quick)
                )
                minutes = (time.perf_counter() - start) / 60
                reached = [f"{100 * each.accuracy:.2f} %" for each in (done.best, done.last)]
                counts = f"{done.best.count:,}", len(done.history), f"{minutes:.1f}"
                table_row(f"`{name}`", SAID.get(name, ""), seed, *reached, *counts)


if __name__ == "__main__":
    main()
