"""Minimal perturbations by descent on a ball whose radius shrinks on success and grows on failure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from robustcnn.attacks.base import Guarded, Slope, check_euclidean, input_gradient
from robustcnn.attacks.closest import Closest
from robustcnn.core.losses import log_odds, margin
from robustcnn.core.norms.batched import per_example
from robustcnn.core.threat import ThreatModel

EUCLID = ThreatModel(norm="l2", eps=math.inf)


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class DDN(Guarded):
    """Direction and norm decoupled (Rony et al. 2019), l2: the smallest find, cut to the ball when larger than eps."""

    steps: int = 100
    """Gradient steps."""
    first_norm: float = 1.0
    """Radius to begin with, in pixel units."""
    gamma: float = 0.05
    """Relative change of the radius a step."""

    def __post_init__(self) -> None:
        _check(self.steps, self.gamma)
        if not self.first_norm > 0:
            raise ValueError(f"first_norm must be positive, got {self.first_norm:g}")

    ends_at_boundary: ClassVar[bool] = True

    @property
    def takes_eps_each(self) -> bool:
        return True

    def search(
        self,
        model: nn.Module,
        images: Tensor,
        labels: Tensor,
        threat: ThreatModel,
        generator: torch.Generator,  # noqa: ARG002
    ) -> Tensor:
        check_euclidean("DDN", threat)
        closest = Closest(model, images, labels, threat)
        point, radius = images, torch.full_like(closest.distance, self.first_norm)
        for step in range(self.steps):
            look = input_gradient(model, point, lambda logits, part: log_odds(logits, labels[part]))
            fooled = closest.offer(point, look.logits)
            radius = radius * torch.where(fooled, 1 - self.gamma, 1 + self.gamma)
            change = point - images + _cosine(step, self.steps, 1.0, 0.01) * threat.steepest(look.gradient)
            point = (images + per_example(radius, change) * threat.steepest(change)).clamp(*threat.bounds)
        closest.offer(point, model(point))
        return closest.best


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class FMN(Guarded):
    """Fast minimum norm (Pintor et al. 2021): the smallest find, cut to the ball when larger than eps."""

    steps: int = 100
    """Gradient steps."""
    step_size: float = 1.0
    """Length (l2) of the first step; a cosine takes it down to a hundredth."""
    gamma: float = 0.05
    """Relative change of the radius at first; a cosine takes it down to nothing."""

    def __post_init__(self) -> None:
        _check(self.steps, self.gamma)
        if not self.step_size > 0:
            raise ValueError(f"step_size must be positive, got {self.step_size:g}")

    ends_at_boundary: ClassVar[bool] = True

    @property
    def takes_eps_each(self) -> bool:
        return True

    def search(
        self,
        model: nn.Module,
        images: Tensor,
        labels: Tensor,
        threat: ThreatModel,
        generator: torch.Generator,  # noqa: ARG002
    ) -> Tensor:
        closest = Closest(model, images, labels, threat)
        point, radius = images, torch.full_like(closest.distance, torch.inf)
        for step in range(self.steps):
            look = input_gradient(model, point, lambda logits, part: margin(logits, labels[part]))
            fooled = closest.offer(point, look.logits)
            radius = self._radius(step, radius, fooled, closest, point, look)
            size = _cosine(step, self.steps, self.step_size, self.step_size / 100)
            change = point - images + size * EUCLID.steepest(look.gradient)
            point = (images + threat.shrink(change, radius)).clamp(*threat.bounds)
        closest.offer(point, model(point))
        return closest.best

    def _radius(
        self, step: int, radius: Tensor, fooled: Tensor, closest: Closest, point: Tensor, look: Slope
    ) -> Tensor:
        """Smaller than the best find, or as far as the linearised boundary while there is none."""
        gamma = _cosine(step, self.steps, self.gamma, 0.0)
        slope = closest.threat.dual(look.gradient).clamp_min(torch.finfo(look.gradient.dtype).tiny)
        guess = closest.threat.distance(point, closest.images) + look.loss.abs().to(slope.dtype) / slope
        # The published guess alone can stall short of the boundary for ever, where the bounds cut each step.
        first_try = torch.where(radius.isfinite(), guess.maximum(radius), guess)
        missed = torch.where(closest.distance.isfinite(), radius, first_try) * (1 + gamma)
        return torch.where(fooled, (radius * (1 - gamma)).minimum(closest.distance), missed)


def _check(steps: int, gamma: float) -> None:
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}")
    if not 0 < gamma < 1:
        raise ValueError(f"gamma must lie strictly between 0 and 1, got {gamma:g}")


def _cosine(step: int, steps: int, first: float, last: float) -> float:
    return last + (first - last) * (1 + math.cos(math.pi * step / steps)) / 2
