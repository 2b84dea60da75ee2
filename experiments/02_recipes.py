"""What do the presets reach? Each is trained as `robustcnn train PRESET` does and tested once.

python experiments/02_recipes.py fashion-smallcnn signs-bncnn --seeds 0 1
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch
from bench import machine

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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("presets", nargs="+", choices=list(PRESETS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    arguments = parser.parse_args()
    where = torch.cuda.get_device_name() if torch.cuda.is_available() else machine()
    print(f"{where}, torch {torch.__version__}, {torch.get_num_threads()} threads\n")
    print(
        "| preset | meant to reach | seed | test accuracy, best epoch | last epoch | test images | epochs | minutes |"
    )
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.presets:
            for seed in arguments.seeds:
                base = preset(name)
                fit = replace(base.fit, seed=seed)
                start = time.perf_counter()
                done = runs.train(replace(base, name=f"{name}-{seed}", runs=Path(folder), fit=fit))
                minutes = (time.perf_counter() - start) / 60
                accuracies = f"{100 * done.best.accuracy:.2f} % | {100 * done.last.accuracy:.2f} %"
                row = f"{seed} | {accuracies} | {done.best.count:,} | {len(done.history)} | {minutes:.1f}"
                print(f"| `{name}` | {SAID.get(name, '')} | {row} |", flush=True)


if __name__ == "__main__":
    main()
