"""Do our attacks find at least what other libraries' find, and what does it cost?

AutoPGD and AutoAttack of torchattacks and ART against ours, searched in float32 and in bfloat16, on the networks of
victims.py. All are judged alike: adversarial images are projected into the ball once more and classified in float32
by the plain model, and what it gets wrong without any attack counts as broken. Two cells to an entry: the share that
still stands (mean over the seeds) and the seconds of CPU. First come cases whose worst is known.

AutoAttack is slow, and most images are beyond doubt: it is given the images that came through PGD-40 with the least
margin, where two ensembles are likeliest to differ; one is a tenth of a point of the 1,000 they are taken from.

    python experiments/03_attack_strength.py --kinds pgd --parts apgd ensemble
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import peers
import torch
from bench import machine
from peers import Task
from torch import Tensor
from victims import KINDS, RECIPES, Recipe, victim
from worst_case import known_cases

from robustcnn import load
from robustcnn.attacks.autopgd import APGD
from robustcnn.attacks.base import Attack
from robustcnn.attacks.craft import craft
from robustcnn.attacks.ensemble import AutoAttack
from robustcnn.attacks.gradient import PGD
from robustcnn.core.losses import margin
from robustcnn.core.runtime import Precision, seeded

PARTS = ("known", "apgd", "ensemble")
PLAIN_SHARE = 4
"""Plain networks are attacked at eps / 4: at eps itself nothing stands, and nothing is learnt."""
POOL = 1000
"""Test images among which the contested ones are looked for."""
Way = Callable[[int], Tensor]
"""From a seed to adversarial images."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """One way of attacking, over all seeds."""

    standing: list[Tensor]
    seconds: float

    @property
    def shares(self) -> list[float]:
        return [100 * each.double().mean().item() for each in self.standing]

    def __str__(self) -> str:
        shares = self.shares
        spread = f" ({min(shares):.1f}-{max(shares):.1f})" if max(shares) > min(shares) else ""
        return f"{sum(shares) / len(shares):.2f} %{spread} | {self.seconds:.1f}"


def ours(attack: Attack, task: Task, precision: Precision) -> Way:
    return lambda seed: craft(
        attack, task.model, task.images, task.labels, task.threat, precision=precision, generator=seeded(seed)
    )


def measure(way: Way, task: Task, seeds: list[int]) -> Measured:
    standing, start = [], time.process_time()
    for seed in seeds:
        adversarial = way(seed).detach()
        standing.append(judged(task, adversarial))
    return Measured(standing=standing, seconds=(time.process_time() - start) / len(seeds))


@torch.no_grad()
def judged(task: Task, adversarial: Tensor) -> Tensor:
    """Which of the images stand: right as they are, and right after an attack that is held to its ball."""
    inside = task.threat.project(adversarial, task.images)
    return (task.model(task.images).argmax(1) == task.labels) & (task.model(inside).argmax(1) == task.labels)


def row(name: str, task: Task, ways: dict[str, Way], seeds: list[int]) -> None:
    """Print one network's line; on stderr, as it comes, what each way broke and ours did not, and the reverse."""
    measured: dict[str, Measured] = {}
    for key, way in ways.items():
        measured[key] = measure(way, task, seeds)
        base, other = (torch.stack(each.standing) for each in (measured.get("ours", measured[key]), measured[key]))
        missed, extra = int((base & ~other).sum()), int((~base & other).sum())
        note = f"{measured[key]} s, broke {missed} that ours left, left {extra} that ours broke"
        print(f"{name}, {key}: {note}", file=sys.stderr, flush=True)
    cells = " | ".join(map(str, measured.values()))
    print(f"| {name} | {task.threat.eps:.4g} | {len(task.images)} | {cells} |", flush=True)


def apgd_ways(task: Task, steps: int) -> dict[str, Way]:
    return {
        "ours": ours(APGD(steps=steps), task, "fp32"),
        "ours, bf16": ours(APGD(steps=steps), task, "bf16"),
        "torchattacks": lambda seed: peers.torchattacks_apgd(task, steps, seed),
        "ART": lambda seed: peers.art_apgd(task, steps, seed),
        "PGD-40": ours(PGD(steps=40, stop=True), task, "fp32"),
    }


def ensemble_ways(task: Task, steps: int) -> dict[str, Way]:
    return {
        "ours": ours(AutoAttack(), task, "fp32"),
        "ours, bf16": ours(AutoAttack(), task, "bf16"),
        "torchattacks": lambda seed: peers.torchattacks_ensemble(task, steps, seed),
        "ART": lambda seed: peers.art_ensemble(task, steps, seed),
    }


def head(title: str, ways: list[str]) -> None:
    print(f"\n{title}\n\n| network | eps | images | " + " | ".join(f"{way} | s" for way in ways) + " |")
    print("|---" * (3 + 2 * len(ways)) + "|", flush=True)


def contested(task: Task, count: int) -> Task:
    """The images that stand after PGD-40, those nearest to falling first."""
    adversarial = craft(PGD(steps=40, stop=True), task.model, task.images, task.labels, task.threat)
    with torch.no_grad():
        lost = margin(task.model(adversarial), task.labels).masked_fill(~judged(task, adversarial), -torch.inf)
    chosen = lost.argsort(descending=True)[: min(count, int(lost.isfinite().sum()))]
    return replace(task, images=task.images[chosen], labels=task.labels[chosen])


def tasks(arguments: argparse.Namespace, count: int) -> list[tuple[str, Task]]:
    return [
        (f"{recipe.data} {kind}", task_of(recipe, kind, arguments.victims, count))
        for kind in arguments.kinds
        for recipe in RECIPES
        if recipe.data in arguments.data
    ]


def task_of(recipe: Recipe, kind: str, folder: Path, count: int) -> Task:
    train, validation, test = load(recipe.data, limit=recipe.images)
    images, labels = next(test.batches(count))
    threat = recipe.threat if kind != "plain" else replace(recipe.threat, eps=recipe.eps / PLAIN_SHARE)
    return Task(model=victim(recipe, kind, folder, train, validation), images=images, labels=labels, threat=threat)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--victims", type=Path, default=Path("mlruns/victims"), help="folder of the checkpoints")
    parser.add_argument("--data", nargs="+", default=[recipe.data for recipe in RECIPES])
    parser.add_argument("--kinds", nargs="+", default=KINDS[::-1], choices=KINDS)
    parser.add_argument("--parts", nargs="+", default=PARTS, choices=PARTS)
    parser.add_argument("--images", type=int, nargs=2, default=(500, 100), help="for AutoPGD, for AutoAttack")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="AutoAttack takes the first only")
    arguments = parser.parse_args()
    if absent := peers.missing():
        sys.exit(f"not installed: {', '.join(absent)} ({peers.INSTALL}, in an environment of their own)")
    torch.set_num_threads(1)
    print(f"{machine()}, torch {torch.__version__}, 1 thread, seeds {arguments.seeds}", flush=True)
    if "known" in arguments.parts:
        known_cases()
    if "apgd" in arguments.parts:
        head(
            "AutoPGD, cross-entropy, 100 steps, 1 restart", ["ours", "ours, bf16", "torchattacks", "ART", "our PGD-40"]
        )
        for name, task in tasks(arguments, arguments.images[0]):
            row(name, task, apgd_ways(task, 100), arguments.seeds)
    if "ensemble" in arguments.parts:
        head("AutoAttack, first seed, contested images", ["ours", "ours, bf16", "torchattacks", "ART"])
        for name, task in tasks(arguments, POOL):
            hard = contested(task, arguments.images[1])
            if len(hard.images):
                row(name, hard, ensemble_ways(hard, 100), arguments.seeds[:1])


if __name__ == "__main__":
    main()
