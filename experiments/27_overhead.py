"""What do an attack's own steps cost, the model's work left out?

A linear model on 256 images of 3 x 32 x 32 is next to no work: CPU time of a step, less that of the model's forward and
gradient. `--against FOLDER` races another checkout of this project, turn and turn about, in a process of its own.

    python experiments/27_overhead.py                     a minute
    python experiments/27_overhead.py --against OLD       OLD is another checkout
    python experiments/27_overhead.py --quick             to try it
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
from torch import Tensor, nn

EPS = {"linf": 1e-4, "l2": 1e-3, "l1": 1e-2}
"""So small that nobody falls: every step is on all images."""


class Linear(nn.Module):
    """Ten logits, linear in the pixels."""

    def __init__(self) -> None:
        super().__init__()
        weight = torch.randn(3072, 10, generator=torch.Generator().manual_seed(0)) / 55
        self.weight = nn.Parameter(weight, requires_grad=False)

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1) @ self.weight


def milliseconds(count: int, steps: int, rounds: int) -> dict[str, float]:
    """Of a step or query, by attack and norm."""
    from robustcnn.attacks import APGD, FAB, PGD, Square
    from robustcnn.attacks.base import input_gradient
    from robustcnn.core.runtime import keep_memory, seeded
    from robustcnn.core.threat import ThreatModel

    torch.set_num_threads(1)
    keep_memory()
    model, images = Linear(), torch.rand(count, 3, 32, 32, generator=seeded(0))
    labels = model(images).argmax(1)

    def spent(work: object) -> float:
        start = time.process_time()
        work()  # type: ignore[operator]
        return 1e3 * (time.process_time() - start)

    attacks = {"PGD": PGD, "AutoPGD": APGD, "FAB": FAB, "Square": Square}
    found: dict[str, list[float]] = {}
    for number in range(rounds + 1):
        own = (
            spent(lambda: [input_gradient(model, images, lambda logits, _: logits[:, 0]) for _ in range(steps)]) / steps
        )
        for norm, eps in EPS.items():
            for name, kind in attacks.items():
                options = {"queries" if name == "Square" else "steps": steps}
                options |= {"relax": False} if name == "AutoPGD" else {"targets": 1} if name == "FAB" else {}
                if name == "Square" and norm == "l1":
                    continue
                threat, attack = ThreatModel(norm=norm, eps=eps), kind(**options)
                took = spent(lambda a=attack, t=threat: a(model, images, labels, t, generator=seeded(0))) / steps
                if number:
                    found.setdefault(f"{name} {norm}", []).append(took - own * (0.3 if name == "Square" else 1))
    return {name: statistics.median(each) for name, each in found.items()}


def elsewhere(folder: str, arguments: list[str]) -> dict[str, float]:
    """The same, by the code in another folder."""
    environment = os.environ | {"PYTHONPATH": folder}
    done = subprocess.run([sys.executable, __file__, "--json", *arguments], env=environment, stdout=-1, check=True)
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def turn_about(folders: list[str], rounds: int, steps: int) -> list[dict[str, float]]:
    """Medians by folder, whose processes take turns: a busy machine is busy for all alike."""
    found: list[dict[str, list[float]]] = [{} for _ in folders]
    for _ in range(rounds):
        for folder, values in zip(folders, found, strict=True):
            for name, value in elsewhere(folder, ["--rounds", "1", "--steps", str(steps)]).items():
                values.setdefault(name, []).append(value)
    return [{name: statistics.median(each) for name, each in values.items()} for values in found]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", help="another checkout of this project")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true", help="figures alone")
    given = parser.parse_args()
    count, steps, rounds = (8, 3, 1) if given.quick else (256, given.steps, given.rounds)
    if given.json or not given.against:
        found = milliseconds(count, steps, rounds)
        if given.json:
            print(json.dumps(found))
            return
        ours, theirs = found, {}
    else:
        ours, theirs = turn_about([str(Path(__file__).parents[1]), given.against], rounds, steps)
    print(f"torch {torch.__version__}, {count} images, {steps} steps, {rounds} rounds, one thread, CPU time\n")
    print("| attack | ms a step | the other | ratio |\n|---|---|---|---|")
    for name, value in ours.items():
        other = theirs.get(name)
        print(f"| {name} | {value:.2f} | {'' if other is None else f'{other:.2f} | {other / value:.1f}'} |")


if __name__ == "__main__":
    main()
