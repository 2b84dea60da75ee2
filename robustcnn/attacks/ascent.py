"""The one loop of the gradient attacks: look at the model, step up, come back into the ball."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from robustcnn.attacks.base import Slope, input_gradient, spread
from robustcnn.attacks.search_state import Standing
from robustcnn.attacks.targets import Target, choose_targets
from robustcnn.attacks.transferable import diversify, smooth
from robustcnn.core.losses import LossName, attack_loss
from robustcnn.core.threat import ThreatModel
from robustcnn.fast.view import exact_logits

Schedule = Literal["constant", "linear", "cosine"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Ascent:
    """All that one gradient attack may differ in from another; the fields mean what they mean in the attacks."""

    steps: int
    step_size: float
    schedule: Schedule = "constant"
    random_start: bool = False
    restarts: int = 1
    loss: LossName = "ce"
    target: Target = "none"
    stop: bool = False
    best: bool = False
    eot: int = 1
    share: float = 0.0
    momentum: float = 0.0
    nesterov: bool = False
    diversity: float = 0.0
    translation: int = 0

    def __post_init__(self) -> None:
        for name, count in {"steps": self.steps, "restarts": self.restarts, "eot": self.eot}.items():
            if count < 1:
                raise ValueError(f"{name} must be at least 1, got {count}")
        if not self.step_size >= 0:
            raise ValueError(f"step_size must not be negative, got {self.step_size:g}")
        if self.restarts > 1 and not self.random_start:
            raise ValueError(f"restarts must be 1 without random_start (all would be the same), got {self.restarts}")
        for name, value in {"share": self.share, "diversity": self.diversity}.items():
            if not 0 <= value <= 1:
                raise ValueError(f"{name} must lie in [0, 1], got {value:g}")
        if not self.momentum >= 0:
            raise ValueError(f"momentum must not be negative, got {self.momentum:g}")
        if self.translation < 0 or self.translation % 2 == 0 < self.translation:
            raise ValueError(f"translation must be 0 or an odd number of pixels, got {self.translation}")

    def run(
        self, model: nn.Module, images: Tensor, labels: Tensor, threat: ThreatModel, generator: torch.Generator
    ) -> Tensor:
        """Adversarial images; expects what `Guarded.search` expects."""
        targets = None
        if self.target != "none":
            targets = choose_targets(self.target, exact_logits(model, images), labels, generator=generator)
        standing = Standing(model, images, labels, targets=targets, stop=self.stop)
        for _ in range(self.restarts):
            last = self._climb(standing, threat, generator)
            if not self._watching:
                standing.worst = last
                break
            if len(standing):
                logits = exact_logits(model, last)
                standing.finish(last, self._loss(logits, standing), logits)
            if not len(standing):
                break
        # Nobody can be led to the class that is already right.
        return (
            standing.worst
            if targets is None
            else torch.where(spread(targets == labels, images), images, standing.worst)
        )

    @property
    def _watching(self) -> bool:
        """Whether anything but the last step's images can be the answer."""
        return self.stop or self.best or self.restarts > 1

    def _loss(self, logits: Tensor, standing: Standing, part: slice = slice(None)) -> Tensor:
        rows, targets = standing.rows[part], standing.targets
        return attack_loss(self.loss, logits, standing.labels[rows], None if targets is None else targets[rows])

    def _climb(self, standing: Standing, threat: ThreatModel, generator: torch.Generator) -> Tensor:
        """The images after the last step, of those who still stand then."""
        origin = standing.images[standing.rows]
        current = threat.sample(origin, generator) if self.random_start else origin
        velocity = torch.zeros_like(origin)
        for step in range(self.steps):
            slope = self._look(standing, current, velocity, threat, generator)
            gradient = slope.gradient
            if self.stop or self.best:
                standing.see(current, slope.loss, slope.logits, ranked=self.best)
                stay = standing.leave(step)
                if stay is not None:
                    origin, current, velocity, gradient = (t[stay] for t in (origin, current, velocity, gradient))
                    if not len(stay):
                        break
            velocity = self._accelerate(velocity, gradient)
            stride = self.step_size * self._decay(step)
            current = current + stride * threat.steepest(velocity, share=self.share, at=current)
            current = threat.project(current, origin)
        return current

    def _look(
        self, standing: Standing, current: Tensor, velocity: Tensor, threat: ThreatModel, generator: torch.Generator
    ) -> Slope:
        """Loss and logits at `current`, and a gradient there or nearby: the mean of `eot` draws."""
        viewpoint = current
        if self.nesterov:
            viewpoint = current + self.step_size * self.momentum * threat.steepest(velocity, share=self.share)

        def view(images: Tensor) -> Tensor:
            seen = diversify(images, generator, probability=self.diversity) if self.diversity else images
            logits: Tensor = standing.model(seen)
            return logits

        slope = input_gradient(
            view,
            viewpoint,
            lambda logits, part: self._loss(logits, standing, part),
            draws=self.eot,
            chunk=getattr(standing.model, "chunk", None),
        )
        if (self.nesterov or self.diversity) and (self.stop or self.best):
            logits = standing.model(current)
            return Slope(self._loss(logits, standing), logits, slope.gradient)
        return slope

    def _accelerate(self, velocity: Tensor, gradient: Tensor) -> Tensor:
        if self.translation:
            gradient = smooth(gradient, self.translation)
        if not self.momentum:
            return gradient
        # Dong et al. 2018: every gradient counts alike, however long it is.
        scale = gradient.abs().mean(dim=tuple(range(1, gradient.ndim)), keepdim=True)
        return self.momentum * velocity + gradient / torch.where(scale > 0, scale, 1)

    def _decay(self, step: int) -> float:
        done = step / self.steps
        return {"constant": 1.0, "linear": 1 - done, "cosine": (1 + math.cos(math.pi * done)) / 2}[self.schedule]
