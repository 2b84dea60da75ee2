"""Attacks of a user's own that do something odd on a worker, and only there."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from robustcnn.attacks import FGSM
from robustcnn.core import snapshots
from robustcnn.core.threat import ThreatModel
from robustcnn.evaluate.suites import register


def on_worker() -> bool:
    return multiprocessing.parent_process() is not None or "worker" in os.environ.get("ROLE", "")


@dataclass(frozen=True, kw_only=True)
class Mortal:
    """Dies by SIGKILL as long as the file is there, which it takes along."""

    file: str

    def __call__(
        self,
        model: nn.Module,
        images: Tensor,
        labels: Tensor,
        threat: ThreatModel,
        *,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        if on_worker() and len(images) > 1 and Path(self.file).exists():
            Path(self.file).unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        return FGSM()(model, images, labels, threat, generator=generator)


@dataclass(frozen=True, kw_only=True)
class Failing:
    """Raises on a worker for the few images of the last block."""

    few: int = 44

    def __call__(
        self,
        model: nn.Module,
        images: Tensor,
        labels: Tensor,
        threat: ThreatModel,
        *,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        if on_worker() and 1 < len(images) <= self.few:
            raise RuntimeError("these images are not to my taste")
        return FGSM()(model, images, labels, threat, generator=generator)


@dataclass(frozen=True, kw_only=True)
class Slow:
    """Takes its time, and random numbers."""

    seconds: float = 0.5

    def __call__(
        self,
        model: nn.Module,
        images: Tensor,
        labels: Tensor,
        threat: ThreatModel,
        *,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        if on_worker():
            time.sleep(self.seconds)
        noise = torch.rand(images.shape, generator=generator)
        return FGSM()(model, images, labels, threat, generator=generator) * 0.9 + 0.1 * noise


@dataclass(frozen=True, kw_only=True)
class Stepwise:
    """Dies once on a worker, at its 15th step, if the file is there; each start says at which step it began."""

    file: str

    def __call__(
        self,
        model: nn.Module,
        images: Tensor,
        labels: Tensor,
        threat: ThreatModel,
        *,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        snapshots.SECONDS, snapshots.SHARE, step = 0.0, 0, 0
        noise = torch.rand(images.shape, generator=generator)
        with snapshots.frame("steps", lambda: {"step": step, "noise": noise}) as before:
            if before is not None:
                step, noise = before["step"], before["noise"]
            if on_worker() and len(images) > 1:
                with Path(f"{self.file}.starts").open("a") as file:
                    file.write(f"{step} ")
            while step < 20:
                step += 1
                noise = 0.9 * noise + 0.1 * torch.rand(images.shape, generator=generator)
                snapshots.due()
                time.sleep(0.02)
                if on_worker() and len(images) > 1 and step == 15 and Path(self.file).exists():
                    Path(self.file).unlink()
                    os.kill(os.getpid(), signal.SIGKILL)
        return FGSM()(model, images, labels, threat, generator=generator) * 0.9 + 0.1 * noise


for each in (Mortal, Failing, Slow, Stepwise):
    register(each.__name__, each)
