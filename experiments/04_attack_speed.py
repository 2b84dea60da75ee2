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
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import gradient_peers
import peers
import torch
from bench import compare, machine
from layer_limit import layer_limit
from peers import Task
from speed_victims import BNCNN, LENET5, RESNET18, ROBUST, Victim
from torch import Tensor

from robustcnn.attacks.autopgd import APGD
from robustcnn.attacks.base import Attack
from robustcnn.attacks.craft import craft
from robustcnn.attacks.curve import breaking_eps
from robustcnn.attacks.ensemble import AutoAttack
from robustcnn.attacks.gradient import FGSM, PGD
from robustcnn.runtime import Precision, seeded

SIZES = (32, 64, 128, 256)
"""Batch sizes among which each of the others has its best."""
FOLDER = Path("mlruns/victims")
Way = Callable[[], Tensor]


@dataclass(frozen=True, kw_only=True, slots=True)
class Race:
    """One attack on one network, and how many times faster than some of the others it is meant to be."""

    victim: Victim
    attack: Attack
    steps: int
    """What the others are told; 0 for FGSM."""
    images: int = 256
    rounds: int = 5
    aims: dict[str, tuple[float, float]] = field(default_factory=dict)
    """In float32 and in bfloat16."""

    def task(self) -> Task:
        images, labels = next(self.victim.images().batches(self.images))
        return Task(model=self.victim.model(FOLDER).eval(), images=images, labels=labels, threat=self.victim.threat)

    def others(self, task: Task) -> dict[str, Way]:
        if isinstance(self.attack, AutoAttack):
            return {"torchattacks": lambda: peers.torchattacks_ensemble(task, self.steps, 0)}
        if isinstance(self.attack, APGD):
            return {"torchattacks": lambda: peers.torchattacks_apgd(task, self.steps, 0)}
        return {name: _at_best_size(name, task, self.steps) for name in gradient_peers.WAYS}


PGD40 = PGD(steps=40, stop=True)
FASTEST = {name: (1.0, 1.0) for name in gradient_peers.WAYS}
RACES = {
    "bncnn": Race(victim=BNCNN, attack=PGD40, steps=40, aims={"foolbox": (2.5, 4.5), "torchattacks": (1.5, 2.7)}),
    "robust": Race(victim=ROBUST, attack=PGD40, steps=40, aims={"foolbox": (2.5, 4.5), "torchattacks": (1.5, 2.7)}),
    "lenet5": Race(victim=LENET5, attack=PGD40, steps=40, aims={"foolbox": (3.0, 3.0)}),
    # Barely trained, it would fall at the first step: nothing is left out, so that arithmetic alone is compared.
    "resnet18": Race(
        victim=RESNET18, attack=PGD(steps=10), steps=10, images=64, rounds=2, aims={"foolbox": (1.8, 3.0)}
    ),
    "fgsm": Race(victim=ROBUST, attack=FGSM(), steps=0, rounds=9, aims=FASTEST),
    "apgd": Race(victim=ROBUST, attack=APGD(), steps=100, images=128, rounds=3, aims={"torchattacks": (1.5, 2.5)}),
    "autoattack": Race(victim=ROBUST, attack=AutoAttack(), steps=100, images=64, rounds=0, aims={"torchattacks": (2.0, 3.5)}),
}
LIMITS = {BNCNN: {"fp32": 0.75, "bf16": 0.75}, RESNET18: {"fp32": 0.8, "bf16": 0.75}, LENET5: {"fp32": 0.5}}


def ours(attack: Attack, task: Task, precision: Precision) -> Tensor:
    return craft(attack, task.model, task.images, task.labels, task.threat, precision=precision, generator=seeded(0))


def _at_best_size(name: str, task: Task, steps: int) -> Way:
    way = gradient_peers.WAYS[name]
    times = {}
    for size in (size for size in SIZES if size <= len(task.images)):
        for _ in range(3):
            start = time.process_time()
            way(task, min(steps, 2), size)
            times[size] = min(times.get(size, float("inf")), time.process_time() - start)
    best = min(times, key=lambda size: times[size])
    print(f"  {name} is quickest at batch {best}", file=sys.stderr, flush=True)
    return lambda: way(task, steps, best)


@torch.no_grad()
def standing(task: Task, adversarial: Tensor) -> float:
    inside = task.threat.project(adversarial.detach(), task.images)
    return (task.model(inside).argmax(1) == task.labels).double().mean().item()


def race(name: str, run: Race) -> None:
    task = run.task()
    ways: dict[str, Way] = {
        "ours": lambda: ours(run.attack, task, "fp32"),
        "ours, bf16": lambda: ours(run.attack, task, "bf16"),
        **run.others(task),
    }
    found: dict[str, Tensor] = {}

    def kept(way: str) -> Callable[[], None]:
        return lambda: found.__setitem__(way, ways[way]())

    seconds = compare({way: kept(way) for way in ways}, run.rounds) if run.rounds else _once(ways, found)
    for way, spent in seconds.items():
        fp32, bf16 = (spent / seconds[mine] for mine in ("ours", "ours, bf16"))
        aim = run.aims.get(way)
        wanted = f">= {aim[0]:g}, {aim[1]:g}" if aim else ""
        robust = 100 * standing(task, found[way])
        print(
            f"| {name}: {run.attack!r} on {run.victim.name}, n={run.images} | {way} | {robust:.1f} % | {spent:.2f} "
            f"| {fp32:.2f} | {bf16:.2f} | {wanted} |",
            flush=True,
        )


def _once(ways: dict[str, Way], found: dict[str, Tensor]) -> dict[str, float]:
    """Too long to be repeated."""
    seconds = {}
    for name, way in ways.items():
        start = time.process_time()
        found[name] = way()
        seconds[name] = time.process_time() - start
    return seconds


def limits() -> None:
    print("\n| network | search | layers, us an image | one step of PGD | share | aim |\n|---|---|---|---|---|---|")
    for victim, aims in LIMITS.items():
        steps, count = (10, 32) if victim is RESNET18 else (40, 256)
        task = Race(victim=victim, attack=PGD(), steps=steps, images=count).task()
        for precision, aim in aims.items():
            kind = torch.float32 if precision == "fp32" else torch.bfloat16
            limit = layer_limit(task.model, task.images[0], kind)
            attack = PGD(steps=steps)
            spent = compare({"": lambda task=task, way=precision, a=attack: ours(a, task, way)}, 3)[""] / steps / count
            limit = min(limit, layer_limit(task.model, task.images[0], kind))
            row = f"{1e6 * limit:.0f} | {1e6 * spent:.0f} | {limit / spent:.2f} | >= {aim:g}"
            print(f"| {victim.name} | {precision} | {row} |", flush=True)


def curve() -> None:
    task = RACES["robust"].task()
    threats = [replace(task.threat, eps=task.threat.eps * part / 8) for part in range(1, 9)]
    ways = {
        "one": lambda: ours(PGD40, task, "fp32"),
        "eight": lambda: breaking_eps(PGD40, task.model, task.images, task.labels, threats, generator=seeded(0)),
    }
    seconds = compare(ways, 3)
    ratio = seconds["eight"] / seconds["one"]
    print(f"\nA curve of eight radii costs {ratio:.2f} times one attack at the largest (aim: < 3).", flush=True)


def memory() -> None:
    """Each way in a process of its own, as a process only tells the most it ever needed."""
    grown = {}
    for way in ("nothing", "textbook", "ours"):
        command = [sys.executable, __file__, "--alone", way]
        grown[way] = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    used = {way: (grown[way] - grown["nothing"]) / 1024 for way in ("textbook", "ours")}
    row = ", ".join(f"{way} {most:.0f} MiB" for way, most in used.items())
    print(f"\nMemory for PGD on bncnn: {row}, ratio {used['ours'] / used['textbook']:.2f} (aim: <= 1.1).", flush=True)


def alone(way: str) -> None:
    task = RACES["robust"].task()
    if way == "textbook":
        gradient_peers.textbook(task, 5, 64)
    elif way == "ours":
        ours(PGD(steps=5, stop=True), task, "fp32")
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = [*RACES, "limit", "curve", "memory"]
    parser.add_argument("--parts", nargs="+", default=parts, choices=parts)
    parser.add_argument("--alone", choices=["nothing", "textbook", "ours"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.alone:
        alone(arguments.alone)
        return
    if absent := peers.missing():
        sys.exit(f"not installed: {', '.join(absent)} ({peers.INSTALL}, in an environment of their own)")
    print(f"{machine()}, torch {torch.__version__}, 1 thread\n")
    print("| what | way | still right | CPU s | time / ours | time / ours bf16 | aims |\n|---|---|---|---|---|---|---|")
    for name, run in RACES.items():
        if name in arguments.parts:
            race(name, run)
    for name, part in {"limit": limits, "curve": curve, "memory": memory}.items():
        if name in arguments.parts:
            part()


if __name__ == "__main__":
    main()
