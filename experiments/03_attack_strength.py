"""Do our attacks find at least what other libraries' find, and what does it cost?

AutoPGD and AutoAttack of torchattacks and ART against ours, searched in float32 and in bfloat16, on the networks of
lib/victims.py. All are judged alike: adversarial images are projected into the ball once more and classified in float32
by the plain model, and what it gets wrong without any attack counts as broken. Two cells to an entry: the share that
still stands (mean over the seeds) and the seconds of CPU. First come cases whose worst is known.

AutoAttack is slow, and most images are beyond doubt: it is given the images that came through PGD-40 with the least
margin, where two ensembles are likeliest to differ; one is a tenth of a point of the 1,000 they are taken from.

    python experiments/03_attack_strength.py --kinds pgd --parts apgd ensemble
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from lib import peers
from lib.opening import options, read, say_machine, table_head
from lib.peers import Task
from lib.strength import Way, contested, ours, row, task_of
from lib.victims import KINDS, RECIPES
from lib.worst_case import known_cases

from robustcnn.attacks.autopgd import APGD
from robustcnn.attacks.ensemble import AutoAttack
from robustcnn.attacks.gradient import PGD

PARTS = ("known", "apgd", "ensemble")
POOL = 1000
"""Test images among which the contested ones are looked for."""


def apgd_ways(task: Task, steps: int) -> dict[str, Way]:
    return {
        "ours": ours(APGD(steps=steps), task, "fp32"),
        "ours, bf16": ours(APGD(steps=steps), task, "bf16"),
        "torchattacks": lambda seed: peers.torchattacks_apgd(task, steps, seed),
        "ART": lambda seed: peers.art_apgd(task, steps, seed),
        "our PGD-40": ours(PGD(steps=40, stop=True), task, "fp32"),
    }


def ensemble_ways(task: Task, steps: int) -> dict[str, Way]:
    return {
        "ours": ours(AutoAttack(), task, "fp32"),
        "ours, bf16": ours(AutoAttack(), task, "bf16"),
        "torchattacks": lambda seed: peers.torchattacks_ensemble(task, steps, seed),
        "ART": lambda seed: peers.art_ensemble(task, steps, seed),
    }


def head(title: str, ways: dict[str, Way]) -> None:
    print(f"\n{title}\n")
    table_head("network", "eps", "images", *(cell for way in ways for cell in (way, "s")))


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--victims", type=Path, default=Path("mlruns/victims"), help="folder of the checkpoints")
    parser.add_argument("--data", nargs="+", default=["mnist", "fashion-mnist", "signs"], choices=list(RECIPES))
    parser.add_argument("--kinds", nargs="+", default=KINDS[::-1], choices=KINDS)
    parser.add_argument("--parts", nargs="+", default=PARTS, choices=PARTS)
    parser.add_argument("--images", type=int, nargs=2, default=(500, 100), help="for AutoPGD, for AutoAttack")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="AutoAttack takes the first only")
    args = read(parser, data=["digits"], kinds=["plain"], parts=["apgd", "ensemble"], images=(40, 4), seeds=[0])
    absent = peers.missing()
    if absent and not args.quick:
        sys.exit(f"not installed: {', '.join(absent)} ({peers.INSTALL}, in an environment of their own)")
    others = {"torchattacks", "ART"} if absent else set()
    say_machine(f"seeds {args.seeds}", *(f"without {name}" for name in sorted(others)))
    if "known" in args.parts:
        known_cases()

    def tasks(count: int) -> Iterator[tuple[str, Task]]:
        for kind in args.kinds:
            for name in args.data:
                yield f"{name} {kind}", task_of(RECIPES[name], kind, args.victims, count)

    if "apgd" in args.parts:
        for number, (name, task) in enumerate(tasks(args.images[0])):
            ways = {way: run for way, run in apgd_ways(task, 100).items() if way not in others}
            if not number:
                head("AutoPGD, cross-entropy, 100 steps, 1 restart", ways)
            row(name, task, ways, args.seeds)
    if "ensemble" in args.parts:
        for number, (name, task) in enumerate(tasks(POOL)):
            hard = contested(task, args.images[1])
            ways = {way: run for way, run in ensemble_ways(hard, 100).items() if way not in others}
            if not number:
                head("AutoAttack, first seed, contested images", ways)
            if len(hard.images):
                row(name, hard, ways, args.seeds[:1])


if __name__ == "__main__":
    main()
