"""Objectives that hold the answers on attacked pictures to those on the pictures as they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from robustcnn.attacks.gradient import PGD
from robustcnn.core.losses import log_odds
from robustcnn.core.threat import ThreatModel
from robustcnn.train.objectives.robust import Batch, Climbing


def divergence(clean: Tensor, attacked: Tensor) -> Tensor:
    """Kullback-Leibler divergence of the attacked answer from the clean one, both given as logits."""
    expected, given = clean.float().log_softmax(1), attacked.float().log_softmax(1)
    return F.kl_div(given, expected, reduction="none", log_target=True).sum(1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Trades(Climbing):
    """Clean cross-entropy plus beta times how far an attack can move the answer (Zhang et al. 2019)."""

    beta: float = 6.0
    """Weight of robustness against accuracy."""

    name: ClassVar[str] = "trades"

    def __post_init__(self) -> None:
        Climbing.__post_init__(self)
        _check_beta(self.beta)

    def pgd(self, threat: ThreatModel) -> PGD:
        usual = Climbing.pgd(self, threat)
        return PGD(steps=usual.steps, step_size=usual.step_size, loss="ce")

    def craft(
        self,
        view: nn.Module,
        images: Tensor,
        labels: Tensor,  # noqa: ARG002
        threat: ThreatModel,
        generator: torch.Generator,
    ) -> Tensor:
        # Cross-entropy with the clean answer as the target is the divergence from it, up to a constant.
        answers = view(images).float().softmax(1)
        return self.pgd(threat).search(view, images, answers, threat, generator)

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        clean = model(batch.images)
        losses = self.errors(clean, batch.labels)
        return losses + self.beta * divergence(clean, model(batch.adversarial)) if self.beta else losses


@dataclass(frozen=True, kw_only=True, slots=True)
class Mart(Climbing):
    """Attacked pictures must be right by a margin, above all where the clean answer is unsure (Wang et al. 2020)."""

    beta: float = 5.0
    """Weight of the divergence between clean and attacked answers."""

    name: ClassVar[str] = "mart"

    def __post_init__(self) -> None:
        Climbing.__post_init__(self)
        _check_beta(self.beta)

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        clean, attacked = model(batch.images).float(), model(batch.adversarial).float()
        unsure = 1 - clean.softmax(1).gather(1, batch.labels[:, None]).squeeze(1)
        boosted = self.errors(attacked, batch.labels) + _runner_up(attacked, batch.labels)
        losses: Tensor = boosted + self.beta * unsure * divergence(clean, attacked)
        return losses


def _runner_up(logits: Tensor, labels: Tensor) -> Tensor:
    """-log(1 - p) of the likeliest wrong class, written so that p may round to 1."""
    rival = logits.scatter(1, labels[:, None], -torch.inf).argmax(1)
    return F.softplus(-log_odds(logits, rival))


def _check_beta(beta: float) -> None:
    if beta < 0:
        raise ValueError(f"beta must not be negative, got {beta:g}")
