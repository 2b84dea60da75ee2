"""How much faster do our attacks run than a textbook's and other libraries', at no loss of strength?

Every way attacks the same pictures with the same kind of start, steps and step size, each at its best batch size, turn
and turn about on one thread; medians of CPU time are compared. What each found is held to its ball and classified in
float32 by the plain network. Then: how near one step comes to the sum of the layers' best kernels, what a curve of
eight radii costs beside one attack, and what memory an attack needs.

    python experiments/04_attack_speed.py --parts bncnn limit curve
"""

from __future__ import annotations

import argparse
import resource
import sys
from dataclasses import replace
from pathlib import Path

from lib import gradient_peers, peers
from lib.opening import options, read, say_machine, table_head
from lib.races import QUICK, RACES
from lib.speed import curve, limits, memory, ours, race

from robustcnn.attacks.gradient import PGD

FOLDER = Path("mlruns/victims")


def alone(way: str) -> None:
    """One attack, and the most memory that this process ever needed."""
    task = RACES["robust"].task(FOLDER)
    if way == "textbook":
        gradient_peers.textbook(task, 5, 128)
    elif way == "ours":
        ours(PGD(steps=5, stop=True), task, "fp32")
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def main() -> None:
    parser = options(__doc__)
    parts = [*RACES, "limit", "curve", "memory"]
    parser.add_argument("--parts", nargs="+", default=parts, choices=[*parts, *QUICK])
    parser.add_argument(
        "--rounds", type=int, help="how often each way is timed; by default as often as its length allows"
    )
    parser.add_argument("--alone", choices=["nothing", "textbook", "ours"], help=argparse.SUPPRESS)
    args = read(parser, parts=list(QUICK), rounds=1)
    if args.alone:
        alone(args.alone)
        return
    absent = peers.missing()
    if absent and not args.quick:
        sys.exit(f"not installed: {', '.join(absent)} ({peers.INSTALL}, in an environment of their own)")
    say_machine()
    if "memory" in args.parts:
        # First, because a process that is started inherits the peak of the one that starts it.
        memory(__file__)
    table_head("what", "way", "still right", "CPU s", "time / ours", "time / ours bf16", "aims")
    for name, run in (RACES | QUICK).items():
        if name in args.parts:
            race(name, run if args.rounds is None else replace(run, rounds=args.rounds), FOLDER)
    for name, part in {"limit": limits, "curve": curve}.items():
        if name in args.parts:
            part(FOLDER)


if __name__ == "__main__":
    main()
