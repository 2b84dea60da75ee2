"""Free adversarial training: one backward pass serves the weights and the attack (Shafahi et al. 2019)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from robustcnn.core.rows import rows_of
from robustcnn.train.objectives.robust import Robust
from robustcnn.train.objectives.standard import Loss, Scorer, Stage


@dataclass(frozen=True, kw_only=True, slots=True)
class Free(Robust):
    """Each batch is stepped on several times, and the gradient of every step also moves the attack on it.

    The attack goes on where it stood when the next batch comes; every epoch starts it anew.
    """

    replays: int = 8
    """Steps on each batch: an epoch takes so many times as long, and so many times fewer are needed."""

    name: ClassVar[str] = "free"

    def __post_init__(self) -> None:
        Robust.__post_init__(self)
        if self.replays < 1:
            raise ValueError(f"replays must be at least 1, got {self.replays}")

    def begin(self, stage: Stage) -> Scorer:  # noqa: ARG002
        return Replaying(self)


class Replaying:
    """One epoch, and the attack as it stands."""

    def __init__(self, objective: Free) -> None:
        self.objective = objective
        self.change: Tensor | None = None

    def __call__(self, images: Tensor, labels: Tensor, generator: torch.Generator, *, progress: float) -> Loss:
        threat = self.objective.threat_at(progress)
        rows = rows_of(generator, len(images))
        if self.change is None:
            # Of the first batch, than which none is larger.
            size = (rows.total, *images.shape[1:])
            self.change = torch.empty(size, device=images.device, memory_format=torch.channels_last).zero_()
        standing = self.change[: rows.total]
        change = rows.of(standing)
        attacked = (images + change).clamp(*threat.bounds).requires_grad_()

        def climb(gradient: Tensor) -> None:
            moved = change + threat.eps * threat.steepest(gradient)
            moved = threat.shrink(moved, torch.full((len(images),), threat.eps, device=images.device))
            rows.of(standing).copy_(moved)

        attacked.register_hook(climb)
        return lambda model: self._loss(model, attacked, labels)

    def _loss(self, model: nn.Module, attacked: Tensor, labels: Tensor) -> Tensor:
        return self.objective.errors(model(attacked), labels)
