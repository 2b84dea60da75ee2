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


for each in (Mortal, Failing, Slow):
    register(each.__name__, each)
