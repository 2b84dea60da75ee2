"""How robust does a small CNN on embedded data get in three minutes? Plain, regularised, adversarial, as in the demo.

python experiments/18_three_minutes.py
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Literal

from lib.opening import options, read, say_machine, table_head, table_row
from lib.recipes import judged

from robustcnn.attacks import AutoAttack
from robustcnn.runs.demo import DemoVerb, configs

SHOWN = ("plain", "regularised", "adversarial")


def rows(data: Literal["digits", "signs"], args: argparse.Namespace) -> list[tuple[object, ...]]:
    """A line each way to train."""
    ways = configs(DemoVerb(data=data, runs=args.runs), gan="")
    threat = ways["adversarial"].fit.watched
    assert threat is not None
    lines = []
    for way in SHOWN:
        config = replace(ways[way], name=f"{data}-{way}-{args.seed}", track=False)
        config = replace(config, fit=replace(config.fit, seed=args.seed, epochs=args.epochs or config.fit.epochs))
        found = judged(config, "best", [AutoAttack()], threat, args.count)
        lines.append((data, way, threat, found.clean, found.robust, f"{found.minutes:.1f}"))
    return lines


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--data", nargs="+", choices=["digits", "signs"], default=["digits", "signs"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=1000, help="test images that are attacked, if there are as many")
    parser.add_argument("--runs", type=Path, default=Path("mlruns/experiment-18"), help="folder of the runs")
    parser.add_argument("--epochs", type=int, help="instead of the demo's own")
    args = read(parser, data=["digits"], epochs=1, count=3, runs=Path("mlruns/quick-18"))
    lines = [line for data in args.data for line in rows(data, args)]
    print()
    say_machine("smallcnn of width 0.25", f"seed {args.seed}")
    table_head("data", "way", "against", "clean", "under AutoAttack", "minutes")
    for line in lines:
        table_row(*line)


if __name__ == "__main__":
    main()
