"""How robust does a small CNN on embedded data get in three minutes? Plain, regularised, adversarial, as in the demo.

python experiments/18_three_minutes.py
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch
from bench import machine
from recipes import judged

from robustcnn.attacks import AutoAttack
from robustcnn.runs.demo import DemoVerb, configs

SHOWN = ("plain", "regularised", "adversarial")


def rows(data: Literal["digits", "signs"], args: argparse.Namespace) -> list[str]:
    """A line each way to train."""
    ways = configs(DemoVerb(data=data, runs=args.runs), gan="")
    threat = ways["adversarial"].fit.watched
    assert threat is not None
    lines = []
    for way in SHOWN:
        config = replace(ways[way], name=f"{data}-{way}-{args.seed}", track=False)
        config = replace(config, fit=replace(config.fit, seed=args.seed))
        found = judged(config, "best", [AutoAttack()], threat, args.count)
        lines.append(f"| {data} | {way} | {threat} | {found.clean} | {found.robust} | {found.minutes:.1f} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", choices=["digits", "signs"], default=["digits", "signs"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=1000, help="test images that are attacked, if there are as many")
    parser.add_argument("--runs", type=Path, default=Path("mlruns/experiment-18"), help="folder of the runs")
    args = parser.parse_args()
    torch.set_num_threads(1)
    lines = [line for data in args.data for line in rows(data, args)]
    print(f"\n{machine()}, torch {torch.__version__}, 1 thread; smallcnn of width 0.25, seed {args.seed}\n")
    print(f"| data | way | against | clean | under AutoAttack | minutes |\n|{'---|' * 6}", *lines, sep="\n")


if __name__ == "__main__":
    main()
