"""What an attack leaves standing, judged alike for everybody, and on which images that is telling."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from lib.opening import table_row
from lib.peers import Task
from lib.victims import Recipe, victim
from robustcnn import load
from robustcnn.attacks.base import Attack
from robustcnn.attacks.craft import craft
from robustcnn.attacks.gradient import PGD
from robustcnn.core.losses import margin
from robustcnn.core.runtime import Precision, seeded

PLAIN_SHARE = 4
"""Plain networks are attacked at eps / 4: at eps itself nothing stands, and nothing is learnt."""
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
    table_row(name, f"{task.threat.eps:.4g}", len(task.images), *measured.values())


def contested(task: Task, count: int) -> Task:
    """The images that stand after PGD-40, those nearest to falling first."""
    adversarial = craft(PGD(steps=40, stop=True), task.model, task.images, task.labels, task.threat)
    with torch.no_grad():
        lost = margin(task.model(adversarial), task.labels).masked_fill(~judged(task, adversarial), -torch.inf)
    chosen = lost.argsort(descending=True)[: min(count, int(lost.isfinite().sum()))]
    return replace(task, images=task.images[chosen], labels=task.labels[chosen])


def task_of(recipe: Recipe, kind: str, folder: Path, count: int) -> Task:
    train, validation, test = load(recipe.data, limit=recipe.images)
    images, labels = next(test.batches(count))
    threat = recipe.threat if kind != "plain" else replace(recipe.threat, eps=recipe.eps / PLAIN_SHARE)
    return Task(model=victim(recipe, kind, folder, train, validation), images=images, labels=labels, threat=threat)
