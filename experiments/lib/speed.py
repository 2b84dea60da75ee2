"""The parts of the speed experiment: a race, the layers' limit, a curve, the memory."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from lib.bench import compare
from lib.layer_limit import layer_limit
from lib.opening import table_head, table_row
from lib.peers import Task
from lib.races import PGD40, RACES, Race, Way
from lib.speed_victims import BNCNN, LENET5, RESNET18
from robustcnn.attacks.base import Attack
from robustcnn.attacks.craft import craft, prepare
from robustcnn.attacks.curve import breaking_eps
from robustcnn.attacks.gradient import PGD
from robustcnn.core.runtime import Precision, seeded, usable

LIMITS = {BNCNN: {"fp32": 0.75, "bf16": 0.75}, RESNET18: {"fp32": 0.8, "bf16": 0.75}, LENET5: {"fp32": 0.6}}


def ours(attack: Attack, task: Task, precision: Precision) -> Tensor:
    return craft(attack, task.model, task.images, task.labels, task.threat, precision=precision, generator=seeded(0))


@torch.no_grad()
def standing(task: Task, adversarial: Tensor) -> float:
    inside = task.threat.project(adversarial.detach(), task.images)
    return (task.model(inside).argmax(1) == task.labels).double().mean().item()


def race(name: str, run: Race, folder: Path) -> None:
    task = run.task(folder)
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
        what = f"{name}: {run.attack!r} on {run.victim.name}, n={run.images}"
        table_row(what, way, f"{robust:.1f} %", f"{spent:.2f}", f"{fp32:.2f}", f"{bf16:.2f}", wanted)


def _once(ways: dict[str, Way], found: dict[str, Tensor]) -> dict[str, float]:
    """Too long to be repeated."""
    seconds = {}
    for name, way in ways.items():
        start = time.process_time()
        found[name] = way()
        seconds[name] = time.process_time() - start
    return seconds


def limits(folder: Path) -> None:
    print()
    table_head("network", "search", "layers, us an image", "one step of PGD", "share", "aim")
    for victim, aims in LIMITS.items():
        count, steps = (64, 4) if victim is RESNET18 else (256, 30)
        task = Race(victim=victim, attack=PGD(), steps=steps, images=count).task(folder)
        for precision, aim in aims.items():
            if usable(precision, task.images.device) != precision:
                continue
            view = prepare(task.model, task.images, task.labels, precision=precision)
            kind = torch.float32 if precision == "fp32" else torch.bfloat16
            shares = [_share(view, task, PGD(steps=steps), kind) for _ in range(3)]
            layers, step = (statistics.median(each) for each in zip(*shares, strict=True))
            spent = f"{1e6 * layers:.0f}", f"{1e6 * step:.0f}", f"{layers / step:.2f}"
            table_row(victim.name, f"{precision}, batch {view.chunk}", *spent, f">= {aim:g}")


def _share(view: nn.Module, task: Task, attack: PGD, kind: torch.dtype) -> tuple[float, float]:
    """Seconds an image: the layers alone, and one step."""
    start = time.process_time()
    craft(attack, view, task.images, task.labels, task.threat, generator=seeded(0))
    step = (time.process_time() - start) / len(task.images) / attack.steps
    return layer_limit(task.model, task.images[0], kind), step


def curve(folder: Path) -> None:
    task = RACES["robust"].task(folder)
    threats = [replace(task.threat, eps=task.threat.eps * part / 8) for part in range(1, 9)]
    ways = {
        "one": lambda: ours(PGD40, task, "fp32"),
        "eight": lambda: breaking_eps(PGD40, task.model, task.images, task.labels, threats, generator=seeded(0)),
    }
    seconds = compare(ways, 3)
    ratio = seconds["eight"] / seconds["one"]
    print(f"\nA curve of eight radii costs {ratio:.2f} times one attack at the largest (aim: <= 1.4).", flush=True)


def memory(script: str) -> None:
    """Each way in a process of its own, as a process only tells the most it ever needed."""
    grown = {}
    # The first one trains the network where there is none yet.
    for way in ("nothing", "nothing", "textbook", "ours"):
        command = [sys.executable, script, "--alone", way]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        grown[way] = int(said.splitlines()[-1])
    used = {way: (grown[way] - grown["nothing"]) / 1024 for way in ("textbook", "ours")}
    row = ", ".join(f"{way} {most:.0f} MiB" for way, most in used.items())
    print(f"Memory for PGD on bncnn: {row}, ratio {used['ours'] / used['textbook']:.2f} (aim: <= 1.1).\n", flush=True)
