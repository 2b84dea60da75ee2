"""Gradient attacks: the names under which the literature knows one loop."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from robustcnn.attacks.ascent import GradientAttack, Schedule
from robustcnn.attacks.base import Slope
from robustcnn.attacks.search_state import SearchState
from robustcnn.attacks.transferable import Diversified, smooth
from robustcnn.core.norms.norm import Radius
from robustcnn.core.threat import ThreatModel


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class FGSM(GradientAttack):
    """One step as long as eps (Goodfellow et al. 2015)."""

    @property
    def path(self) -> float:
        return 1.0


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class RFGSM(GradientAttack):
    """A random point of the ball, then one step (Tramèr et al. 2018, with the step of Wong et al. 2020)."""

    step_size: float | None = None
    """In pixel units; 1.25 * eps when not given."""
    restarts: int = 1
    """Random starts, the worst outcome of which is kept: fooled before not fooled, then the greater loss."""

    @property
    def random_start(self) -> bool:
        return True

    @property
    def path(self) -> float:
        return 1.25


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

    @property
    def path(self) -> float:
        return 1.0

    def __post_init__(self) -> None:
        GradientAttack.__post_init__(self)
        if not 0 <= self.diversity <= 1:
            raise ValueError(f"diversity must lie in [0, 1], got {self.diversity:g}")
        if not self.momentum >= 0:
            raise ValueError(f"momentum must not be negative, got {self.momentum:g}")
        if self.translation < 0 or self.translation % 2 == 0 < self.translation:
            raise ValueError(f"translation must be 0 or an odd number of pixels, got {self.translation}")

    def look(
        self,
        state: SearchState,
        current: Tensor,
        direction: Tensor,
        threat: ThreatModel,
        size: Radius,
        generator: torch.Generator,
    ) -> Slope:
        ahead = current
        if self.nesterov:
            # The velocity itself, as in the paper, where a step's pixels change by `size` on average.
            every = tuple(range(1, current.ndim))
            step = threat.steepest(direction, share=self.share).abs().mean(every, keepdim=True)
            ahead = current + size * self.momentum * step * direction
        model: nn.Module = state.model
        if self.diversity:
            model = Diversified(model, probability=self.diversity, generator=generator)
        slope = self.slope(state, model, ahead)
        if not ((self.nesterov or self.diversity) and self.stop):
            return slope
        # What is kept has to be judged where it is, and as it is.
        logits = state.model(current)
        return Slope(self.loss_of(state, logits), logits, slope.gradient)

    def direction(self, previous: Tensor, gradient: Tensor) -> Tensor:
        if self.translation:
            gradient = smooth(gradient, self.translation)
        if not self.momentum:
            return gradient
        # Dong et al. 2018: every gradient counts alike, however long it is.
        scale = gradient.abs().mean(dim=tuple(range(1, gradient.ndim)), keepdim=True)
        return self.momentum * previous + gradient / torch.where(scale > 0, scale, 1)
