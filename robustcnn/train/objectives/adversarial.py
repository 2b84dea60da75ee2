"""Cross-entropy on attacked pictures: by many steps, by one, and beside the pictures as they are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from robustcnn.attacks.ascent import GradientAttack
from robustcnn.attacks.gradient import FGSM, RFGSM
from robustcnn.core.losses import log_odds
from robustcnn.core.runtime import evaluating
from robustcnn.core.threat import ThreatModel
from robustcnn.train.objectives.robust import Attacked, Batch, Climbing


@dataclass(frozen=True, kw_only=True, slots=True)
class Adversarial(Climbing):
    """Cross-entropy on pictures attacked by PGD (Madry et al. 2018)."""

    name: ClassVar[str] = "adversarial"

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        return self.errors(model(batch.adversarial), batch.labels)


@dataclass(frozen=True, kw_only=True, slots=True)
class OneStep(Attacked, ABC):
    """An objective whose attack takes one step; its robustness may collapse, and then noise is the cure."""

    noise: float = 0.0
    """When above 0: start from noise of so many eps, 2 is usual, and never clip to the ball (de Jorge et al. 2022)."""

    def __post_init__(self) -> None:
        Attacked.__post_init__(self)
        _refuse_negative(self, "noise")

    @property
    def stride(self) -> float:
        """Length of the step after noise, in units of eps."""
        return 1.0

    def cured(self) -> Self:
        """The same with noise."""
        return self if self.noise else replace(self, noise=2.0)

    def craft(
        self, view: nn.Module, images: Tensor, labels: Tensor, threat: ThreatModel, generator: torch.Generator
    ) -> Tensor:
        if not self.noise:
            return self.attack(threat).search(view, images, labels, threat, generator)
        noisy = replace(threat, eps=_at_most(self.noise * threat.eps, threat)).sample(images, generator)
        # Around the noisy picture, so that the ball does not cut the step.
        ahead = replace(threat, eps=_at_most(self.stride * threat.eps, threat))
        return FGSM().search(view, noisy, labels, ahead, generator)

    @abstractmethod
    def attack(self, threat: ThreatModel) -> GradientAttack:
        """The step without noise."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mixture(OneStep):
    """Cross-entropy on the pictures as they are, mixed with that under FGSM (Goodfellow et al. 2015)."""

    alpha: float = 0.5
    """Share of the unchanged pictures' loss."""

    name: ClassVar[str] = "mixture"

    def __post_init__(self) -> None:
        OneStep.__post_init__(self)
        if not 0 <= self.alpha <= 1:
            raise ValueError(f"alpha is the share of the clean loss and must lie in [0, 1], got {self.alpha:g}")

    def attack(self, threat: ThreatModel) -> FGSM:  # noqa: ARG002
        return FGSM()

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        clean, attacked = (self.errors(model(each), batch.labels) for each in (batch.images, batch.adversarial))
        return self.alpha * clean + (1 - self.alpha) * attacked


@dataclass(frozen=True, kw_only=True, slots=True)
class Fast(OneStep):
    """Cross-entropy under one step from a random start (Wong et al. 2020); fast, but its robustness may collapse.

    Two cures for that collapse are `noise` (free of cost) and `grad_align` (twice the work).
    """

    step: float | None = None
    """Length of the step in units of eps; 1.25 when not given, 1 after noise."""
    grad_align: float = 0.0
    """Weight of a penalty on gradients that turn within the ball (Andriushchenko & Flammarion 2020), say 0.2."""

    name: ClassVar[str] = "fast"

    def __post_init__(self) -> None:
        OneStep.__post_init__(self)
        _refuse_negative(self, "step", "grad_align")

    @property
    def stride(self) -> float:
        return 1.0 if self.step is None else self.step

    def attack(self, threat: ThreatModel) -> RFGSM:
        return RFGSM(step_size=None if self.step is None else self.step * threat.eps)

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        losses = self.errors(model(batch.adversarial), batch.labels)
        return losses + self.grad_align * misalignment(model, batch) if self.grad_align else losses


def _refuse_negative(objective: OneStep, *names: str) -> None:
    for name in names:
        if (getattr(objective, name) or 0) < 0:
            raise ValueError(f"{name} must not be negative, got {getattr(objective, name):g}")


def _at_most(eps: float, threat: ThreatModel) -> float:
    """No ball is larger than the whole range of a pixel."""
    return min(eps, threat.geometry.largest)


def misalignment(model: nn.Module, batch: Batch) -> Tensor:
    """1 - cosine between the input gradients at each picture and at a random point of its ball."""
    # A compiled model cannot be differentiated twice.
    plain: nn.Module = getattr(model, "_orig_mod", model)
    there = batch.threat.sample(batch.images, batch.generator)
    with evaluating(plain):
        ours = _direction(plain, batch.images, batch.labels, differentiable=False)
        theirs = _direction(plain, there, batch.labels, differentiable=True)
    return 1 - F.cosine_similarity(ours, theirs, eps=1e-20)


def _direction(model: nn.Module, images: Tensor, labels: Tensor, *, differentiable: bool) -> Tensor:
    leaf = images.detach().requires_grad_()
    # The same direction as that of cross-entropy, and never rounded to nothing.
    odds = log_odds(model(leaf).float(), labels).sum()
    (gradient,) = torch.autograd.grad(odds, leaf, create_graph=differentiable)
    return gradient.flatten(1)
