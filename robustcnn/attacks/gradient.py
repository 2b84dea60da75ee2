"""Gradient attacks: the names under which the literature knows one loop."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import ClassVar

import torch
from torch import Tensor, nn

from robustcnn.attacks.ascent import Ascent, Schedule
from robustcnn.attacks.base import Guarded
from robustcnn.attacks.targets import Target
from robustcnn.core.losses import LossName
from robustcnn.core.threat import ThreatModel


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class GradientAttack(Guarded):
    """An `Ascent` under a name of its own; what a class does not offer as a field, it fixes as a class variable."""

    loss: LossName = "odds"
    """What to climb: log-odds (the way up of cross-entropy, never rounded away), ce (itself), margin, or dlr."""
    target: Target = "none"
    """none, or a wrong class to aim at: second (likeliest), least (likely), random, or the index of a class."""
    stop: bool = False
    """Keep the first fooled image of an example and go on with the others: as strong, faster, for judging only."""
    eot: int = 1
    """Forward passes whose mean gradient is taken; more than 1 for models that draw random numbers."""
    share: float = 0.01
    """l1 only: share of the pixels that one step moves (Tramèr & Boneh 2019); 0 moves a single one."""

    reach: ClassVar[float] = 2.5
    """All steps together, in units of eps, when no step size is given."""

    def __post_init__(self) -> None:
        self.ascent(eps=1.0)

    def ascent(self, *, eps: float) -> Ascent:
        """The plan for a ball of this radius."""
        options = {field.name: getattr(self, field.name) for field in fields(Ascent) if hasattr(self, field.name)}
        if options.get("step_size") is None:
            if math.isinf(eps):
                raise ValueError("step_size must be given when eps is inf: there is no ball to measure it by")
            options["step_size"] = self.reach * eps / max(options["steps"], 1)
        return Ascent(**options)

    def search(
        self, model: nn.Module, images: Tensor, labels: Tensor, threat: ThreatModel, generator: torch.Generator
    ) -> Tensor:
        return self.ascent(eps=threat.eps).run(model, images, labels, threat, generator)


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class FGSM(GradientAttack):
    """One step as long as eps (Goodfellow et al. 2015)."""

    steps: ClassVar[int] = 1
    reach: ClassVar[float] = 1.0


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class RFGSM(GradientAttack):
    """A random point of the ball, then one step (Tramèr et al. 2018, with the step of Wong et al. 2020)."""

    step_size: float | None = None
    """In pixel units; 1.25 * eps when not given."""
    restarts: int = 1
    """Random starts, the worst outcome of which is kept: fooled before not fooled, then the greater loss."""

    steps: ClassVar[int] = 1
    random_start: ClassVar[bool] = True
    reach: ClassVar[float] = 1.25


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class BIM(GradientAttack):
    """Many small steps from the image itself (Kurakin et al. 2017)."""

    steps: int = 10
    """Gradients taken."""
    step_size: float | None = None
    """In pixel units; 2.5 * eps / steps when not given."""


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class PGD(GradientAttack):
    """Many small steps from a random point of the ball (Madry et al. 2018)."""

    steps: int = 40
    """Gradients taken in one restart."""
    step_size: float | None = None
    """In pixel units; 2.5 * eps / steps when not given."""
    schedule: Schedule = "constant"
    """Whether and how the step size falls to zero in the course of the steps."""
    random_start: bool = True
    """Whether to start from a random point of the ball rather than from the image."""
    restarts: int = 1
    """Random starts, the worst outcome of which is kept: fooled before not fooled, then the greater loss."""
    best: bool = False
    """Answer with the worst of all images on the way, not with the last."""


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class MIFGSM(GradientAttack):
    """Steps along a sum of past gradients, made for transfer to other models (Dong et al. 2018)."""

    steps: int = 10
    """Gradients taken."""
    step_size: float | None = None
    """In pixel units; eps / steps when not given."""
    momentum: float = 1.0
    """What is kept of the sum of past gradients from step to step."""
    nesterov: bool = False
    """Take the gradient where the momentum is about to lead (Lin et al. 2020)."""
    diversity: float = 0.0
    """Probability that the model is shown a shrunk and shifted image (Xie et al. 2019); 0.5 is usual."""
    translation: int = 0
    """Odd width of the blur that makes a gradient hold for shifted images (Dong et al. 2019); 0 for none."""

    reach: ClassVar[float] = 1.0
