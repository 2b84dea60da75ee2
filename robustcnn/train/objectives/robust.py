"""What all adversarial objectives share: a threat, a warm-up, and how a batch is attacked beside the training."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from robustcnn.attacks.gradient import PGD
from robustcnn.core.fused import fusing
from robustcnn.core.losses import cross_entropy
from robustcnn.core.runtime import autocast, evaluating, frozen_weights
from robustcnn.core.threat import ThreatModel
from robustcnn.train.objectives.standard import Loss, Scorer, Stage, check_smoothing, same_draw


class Batch(NamedTuple):
    """A batch before and after the attack."""

    images: Tensor
    adversarial: Tensor
    labels: Tensor
    threat: ThreatModel
    """With the eps of this moment."""
    generator: torch.Generator


@dataclass(frozen=True, kw_only=True, slots=True)
class Robust:
    """An objective with an adversary."""

    threat: ThreatModel = field(default_factory=ThreatModel)
    """What the attacker may do."""
    warmup: float = 0.0
    """Share of the training over which eps first grows linearly from 0; a large eps cannot be learnt without."""
    label_smoothing: float = 0.0
    """Share of the target spread evenly over all classes."""

    name: ClassVar[str]

    def __post_init__(self) -> None:
        check_smoothing(self.label_smoothing)
        if not 0 <= self.warmup <= 1:
            raise ValueError(f"warmup is the share of the training in [0, 1] over which eps grows, got {self.warmup:g}")
        if math.isinf(self.threat.eps):
            raise ValueError("threat.eps must be finite to train against, got inf")
        if self.threat.bounds != (0, 1):
            raise ValueError(f"threat.bounds must be (0, 1), as data sets hold their pixels, got {self.threat.bounds}")

    def threat_at(self, progress: float) -> ThreatModel:
        """The threat when the share `progress` of the training lies behind."""
        share = 1.0 if progress >= self.warmup else progress / self.warmup
        return replace(self.threat, eps=share * self.threat.eps)

    def errors(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy, smoothed as asked."""
        return cross_entropy(logits, labels, smoothing=self.label_smoothing)


@dataclass(frozen=True, kw_only=True, slots=True)
class Attacked(Robust, ABC):
    """An objective on attacked pictures; each kind says how they are made and what the loss on them is."""

    def begin(self, stage: Stage) -> Scorer:
        return Crafting(self, stage)

    @abstractmethod
    def craft(
        self, view: nn.Module, images: Tensor, labels: Tensor, threat: ThreatModel, generator: torch.Generator
    ) -> Tensor:
        """Adversarial images; the view is in evaluation mode, and its weights want no gradient."""

    @abstractmethod
    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """One value an example; the model is in training mode."""


class Crafting:
    """One epoch of an objective on attacked pictures, with a fast view that follows the weights."""

    def __init__(self, objective: Attacked, stage: Stage) -> None:
        self.objective, self.stage = objective, stage
        self.live_view = stage.views(stage.model, stage.probe, stage.precision)

    def __call__(self, images: Tensor, labels: Tensor, generator: torch.Generator, *, progress: float) -> Loss:
        threat = self.objective.threat_at(progress)
        adversarial = self.craft(images, labels, threat, generator) if threat.eps else images
        batch = Batch(images, adversarial, labels, threat, generator)
        return same_draw(generator, lambda model: self.objective.loss(model, batch))

    @torch.no_grad()
    def craft(self, images: Tensor, labels: Tensor, threat: ThreatModel, generator: torch.Generator) -> Tensor:
        """Adversarial images, from the weights as they are now."""
        view = self.live_view.view()
        if self.live_view.is_fast:
            with fusing(self.stage.views.compiled):
                return self.objective.craft(view, images, labels, threat, generator)
        with evaluating(view), frozen_weights(view), autocast(images.device, self.stage.precision):
            return self.objective.craft(view, images, labels, threat, generator)


@dataclass(frozen=True, kw_only=True, slots=True)
class Climbing(Attacked):
    """An objective whose attack takes many steps."""

    steps: int = 10
    """Gradients that the attack takes."""
    step_size: float | None = None
    """In pixel units, at full eps; 2.5 * eps / steps when not given."""

    def __post_init__(self) -> None:
        Attacked.__post_init__(self)
        self.pgd(self.threat)

    def pgd(self, threat: ThreatModel) -> PGD:
        """The attack at the eps of the moment, which its steps are in proportion to."""
        share = threat.eps / self.threat.eps if self.threat.eps else 0.0
        return PGD(steps=self.steps, step_size=None if self.step_size is None else share * self.step_size)

    def craft(
        self, view: nn.Module, images: Tensor, labels: Tensor, threat: ThreatModel, generator: torch.Generator
    ) -> Tensor:
        return self.pgd(threat).search(view, images, labels, threat, generator)
