"""How much CPU time does Swift save beside AutoAttack's own code, and beside torchattacks' AutoAttack at its budget?

The code of the paper is on no index: say where a checkout of github.com/fra31/auto-attack lies. Without it, or without
torchattacks, that row is left out.

    python experiments/47_swift_race.py --nets fashion-trades fashion-l2 --autoattack ../auto-attack
"""

from __future__ import annotations

import importlib.util
import sys
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from lib import peers
from lib.opening import options, read, say_machine, table_head, table_row
from lib.swift_nets import NETS, chosen, examples, network
from torch import Tensor

from robustcnn.attacks import Attack, AutoAttack, Swift
from robustcnn.attacks.craft import craft
from robustcnn.core.runtime import seeded

BATCH = 128
"""Images that the paper's code is given at once; it is quickest there or near it."""


def by_the_paper(task: peers.Task) -> Tensor:
    """The standard version, on the CPU."""
    from autoattack import AutoAttack as Published  # type: ignore[import-not-found]

    norm = task.threat.norm.replace("l", "L")
    attack = Published(
        task.model, norm=norm, eps=task.threat.eps, version="standard", device="cpu", verbose=False, seed=0
    )
    found: Tensor = attack.run_standard_evaluation(task.images, task.labels, bs=BATCH)
    return found


def ways(task: peers.Task) -> dict[str, Callable[[], Tensor]]:
    """Who takes part."""

    def crafted(attack: Attack) -> Tensor:
        return craft(attack, task.model, task.images, task.labels, task.threat, generator=seeded(0))

    found = {"Swift": partial(crafted, Swift()), "our AutoAttack": partial(crafted, AutoAttack())}
    if importlib.util.find_spec("autoattack"):
        found["AutoAttack, the paper's code"] = partial(by_the_paper, task)
    if importlib.util.find_spec("torchattacks") and task.threat.norm == "linf":
        found["AutoAttack, torchattacks"] = partial(peers.torchattacks_ensemble, task, 100, 0)
    return found


def race(name: str, count: int) -> None:
    """One network's rows; Swift runs first."""
    model, data, threat = network(name), examples(name, count), NETS[name].threat
    images, labels = next(data.batches(len(data)))
    task, first = peers.Task(model=model, images=images, labels=labels, threat=threat), 0.0  # type: ignore[arg-type]
    for way, run in ways(task).items():
        start = time.process_time()
        found = run()
        spent = time.process_time() - start
        first = first or spent
        with torch.no_grad():
            left = int((model(found).argmax(1) == labels).sum())
        table_row(name, len(labels), way, f"{spent:.1f}", left, f"{spent / first:.1f}")


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--nets", nargs="+", default=["fashion-trades"])
    parser.add_argument("--count", type=int, default=100, help="test images")
    parser.add_argument("--autoattack", type=Path, help="checkout of the paper's code")
    args = read(parser, nets=["digits-plain"], count=4)
    if args.autoattack:
        sys.path.insert(0, str(args.autoattack))
    warnings.simplefilter("ignore")
    say_machine("seed 0")
    table_head("network", "images", "attack", "CPU s", "still right", "of Swift's time")
    for name in chosen(args.nets):
        race(name, args.count)


if __name__ == "__main__":
    main()
