"""Which attack runs on which network against whom: the entries of the speed experiment."""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from lib import gradient_peers, peers
from lib.peers import Task
from lib.speed_victims import BNCNN, DIGITS, LENET5, RESNET18, ROBUST, Victim
from robustcnn.attacks.autopgd import APGD
from robustcnn.attacks.base import Attack
from robustcnn.attacks.ensemble import AutoAttack
from robustcnn.attacks.gradient import FGSM, PGD

SIZES = (32, 64, 128, 256)
"""Batch sizes among which each of the others has its best."""
Way = Callable[[], Tensor]


@dataclass(frozen=True, kw_only=True, slots=True)
class Race:
    """One attack on one network, and how many times faster than some of the others it is meant to be."""

    victim: Victim
    attack: Attack
    steps: int
    """What the others are told; 0 for FGSM."""
    images: int = 256
    rounds: int = 3
    aims: dict[str, tuple[float, float]] = field(default_factory=dict)
    """In float32 and in bfloat16."""

    def task(self, folder: Path) -> Task:
        images, labels = next(self.victim.images().batches(self.images))
        return Task(model=self.victim.model(folder).eval(), images=images, labels=labels, threat=self.victim.threat)

    def others(self, task: Task) -> dict[str, Way]:
        if isinstance(self.attack, AutoAttack):
            return {"torchattacks": lambda: peers.torchattacks_ensemble(task, self.steps, 0)}
        if isinstance(self.attack, APGD):
            return {"torchattacks": lambda: peers.torchattacks_apgd(task, self.steps, 0)}
        return {name: _at_best_size(name, task, self.steps) for name in gradient_peers.present()}


def _at_best_size(name: str, task: Task, steps: int) -> Way:
    way = gradient_peers.WAYS[name]
    times = {size: float("inf") for size in SIZES if size <= len(task.images)}
    for _, size in itertools.product(range(3), times):
        start = time.process_time()
        way(task, min(steps, 1), size)
        times[size] = min(times[size], time.process_time() - start)
    best = min(times, key=lambda size: times[size])
    print(f"{name} is quickest at batch {best}", file=sys.stderr, flush=True)
    return lambda: way(task, steps, best)


PGD40 = PGD(steps=40, stop=True)
FASTEST = dict.fromkeys(gradient_peers.WAYS, (1.0, 1.0))
RACES = {
    "bncnn": Race(victim=BNCNN, attack=PGD40, steps=40, aims={"foolbox": (2.5, 4.5), "torchattacks": (1.5, 2.7)}),
    "robust": Race(victim=ROBUST, attack=PGD40, steps=40, aims={"foolbox": (3.0, 4.5), "torchattacks": (1.5, 2.7)}),
    "lenet5": Race(victim=LENET5, attack=PGD40, steps=40, aims={"foolbox": (6.0, 6.0)}),
    # Barely trained, it would fall at the first step: nothing is left out, so that arithmetic alone is compared.
    "resnet18": Race(
        victim=RESNET18, attack=PGD(steps=10), steps=10, images=32, rounds=1, aims={"foolbox": (1.8, 3.0)}
    ),
    "fgsm": Race(victim=ROBUST, attack=FGSM(), steps=0, rounds=9, aims=FASTEST),
    "apgd": Race(victim=ROBUST, attack=APGD(), steps=100, images=128, rounds=2, aims={"torchattacks": (2.0, 3.0)}),
    "autoattack": Race(
        victim=ROBUST, attack=AutoAttack(), steps=100, images=64, rounds=0, aims={"torchattacks": (2.5, 4.0)}
    ),
}
QUICK = {"digits": Race(victim=DIGITS, attack=PGD(steps=10, stop=True), steps=10, images=64, rounds=1)}
"""For --quick: seconds, on embedded data."""
