"""An evaluation that kills its own process: python interrupted.py FOLDER BLOCK dies at that block of the attack."""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from robustcnn.attacks import PGD, UniformNoise
from robustcnn.core.results import RobustnessReport
from robustcnn.core.runtime import global_seed, seeded
from robustcnn.core.threat import ThreatModel
from robustcnn.data.resident import ResidentDataset, spec_of
from robustcnn.evaluate import evaluate

THREATS = [ThreatModel(eps=4 / 255), ThreatModel(eps=12 / 255), ThreatModel(norm="l2", eps=0.2)]


@dataclass(frozen=True)
class Mortal:
    """PGD from a random point, which may be told to die."""

    steps: int = 3

    def __call__(self, model: nn.Module, images: Tensor, labels: Tensor, threat: ThreatModel, **options: Any) -> Tensor:
        if len(images) > 1:
            work.append(str(threat))
            if len(work) == die_at:
                die()
        return PGD(steps=self.steps)(model, images, labels, threat, **options)


work: list[str] = []
"""A block each, the glimpses beforehand left out."""
die_at = 0


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def data() -> ResidentDataset:
    generator = seeded(4)
    images = torch.randint(256, (40, 1, 6, 6), generator=generator, dtype=torch.uint8)
    # The model's own answers, but for some.
    labels = model().eval()(images / 255).argmax(1)
    labels[::10] = (labels[::10] + 1) % 3
    return ResidentDataset(images=images, labels=labels, spec=spec_of(images, ("a", "b", "c")), name="noise")


def model() -> nn.Module:
    with global_seed(5):
        return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Dropout(0.3), nn.Linear(64, 3))


def run(folder: Path | None, **options: Any) -> RobustnessReport:
    settled = {"data": data(), "attacks": [UniformNoise(), Mortal()], "threats": THREATS, "block": 10, "folder": folder}
    given = {"model": model(), **settled, **options}
    return evaluate(**given)


if __name__ == "__main__":
    torch.set_num_threads(1)
    die_at = int(sys.argv[2])
    run(Path(sys.argv[1]))
