"""Rotations and shifts (Engstrom et al. 2019): small to the eye, beyond any ball of pixel changes."""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from robustcnn.attacks.base import check_batch, check_classes, input_gradient, outside_inference
from robustcnn.attacks.search_state import SearchState
from robustcnn.core.losses import margin
from robustcnn.core.runtime import evaluating, frozen_weights, seeded
from robustcnn.core.threat import ThreatModel

Padding = Literal["zeros", "border", "reflection"]


def turn_and_shift(images: Tensor, degrees: Tensor, right: Tensor, down: Tensor, *, padding: Padding) -> Tensor:
    """Images (N, C, H, W) turned counter-clockwise by `degrees` (N,), then moved by shares of width and height (N,)."""
    height, width = images.shape[2:]
    angle = degrees * (math.pi / 180)
    cosine, sine = angle.cos(), angle.sin()
    # The grid says where each pixel comes from, in units of half a side: the inverse movement.
    across, along = 2 * right, 2 * down
    first = torch.stack([cosine, -sine * height / width, -cosine * across + sine * along * height / width], 1)
    second = torch.stack([sine * width / height, cosine, -sine * across * width / height - cosine * along], 1)
    grid = F.affine_grid(torch.stack([first, second], 1), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid.to(images.dtype), padding_mode=padding, align_corners=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Spatial(ABC):
    """Keeps the turned and shifted image with the worst margin; of the threat it heeds the bounds, never eps."""

    max_degrees: float = 30.0
    """Largest rotation, either way."""
    max_shift: float = 0.1
    """Largest shift as a share of the image's side, either way."""
    padding: Padding = "zeros"
    """What comes in from outside: black, the nearest edge pixel or the mirrored image."""

    in_ball: ClassVar[bool] = False
    """The answer is not near the image in any norm: judges must neither project it nor measure it."""

    def __post_init__(self) -> None:
        if not 0 <= self.max_degrees <= 180:
            raise ValueError(f"max_degrees must lie in [0, 180], got {self.max_degrees:g}")
        if not 0 <= self.max_shift < 1:
            raise ValueError(f"max_shift must lie in [0, 1), a share of the image's side, got {self.max_shift:g}")

    def __call__(
        self,
        model: nn.Module,
        images: Tensor,
        labels: Tensor,
        threat: ThreatModel,
        *,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        check_batch(images, labels, threat)
        if images.ndim != 4:
            raise ValueError(f"rotations and shifts need images (N, C, H, W), got {tuple(images.shape)}")
        if not len(images):
            return images.clone()
        generator = seeded(0, images.device) if generator is None else generator
        with torch.inference_mode(False), torch.no_grad(), evaluating(model), frozen_weights(model):
            images, labels = outside_inference(images), outside_inference(labels)
            state = SearchState(model, images, labels)
            logits = model(images)
            check_classes(logits, labels)
            state.update(images, margin(logits, labels), logits)
            state.drop_succeeded()
            self._search(state, generator)
            return state.best_found.clamp(*threat.bounds)

    @abstractmethod
    def _search(self, state: SearchState, generator: torch.Generator) -> None:
        """Show movements to the model."""

    def _moved(self, images: Tensor, movement: Tensor) -> Tensor:
        """Movement (N, 3) in [-1, 1]: rotation, shift to the right, shift down, each as a share of its limit."""
        degrees, right, down = (movement * movement.new_tensor([self.max_degrees, *[self.max_shift] * 2])).unbind(1)
        return turn_and_shift(images, degrees, right, down, padding=self.padding)


@dataclass(frozen=True, kw_only=True, slots=True)
class SpatialGrid(_Spatial):
    """Every combination of evenly spaced rotations and shifts; needs no gradient."""

    rotations: int = 31
    """Rotations tried."""
    shifts: int = 5
    """Shifts tried in each direction: rotations * shifts^2 images are shown for each example."""

    def __post_init__(self) -> None:
        _Spatial.__post_init__(self)
        if self.rotations < 1 or self.shifts < 1:
            raise ValueError(f"rotations and shifts must be at least 1, got {self.rotations} and {self.shifts}")

    def _search(self, state: SearchState, generator: torch.Generator) -> None:  # noqa: ARG002
        turns, steps = _even(self.rotations), _even(self.shifts)
        for step, movement in enumerate(itertools.product(turns, steps, steps)):
            if not len(state):
                break
            images, labels = state.images, state.labels
            moved = self._moved(images, images.new_tensor(movement).expand(len(images), 3))
            logits = state.model(moved)
            state.update(moved, margin(logits, labels), logits)
            state.compact(step)


@dataclass(frozen=True, kw_only=True, slots=True)
class SpatialGradient(_Spatial):
    """Ascent of the margin along the signs of its slopes in rotation and shifts, from random movements."""

    steps: int = 20
    """Gradients a restart."""
    restarts: int = 5
    """Random movements to start from: the loss has many hills."""
    step_size: float = 0.1
    """As a share of each limit; it falls to zero over the steps."""

    def __post_init__(self) -> None:
        _Spatial.__post_init__(self)
        if self.steps < 1 or self.restarts < 1:
            raise ValueError(f"steps and restarts must be at least 1, got {self.steps} and {self.restarts}")

    def _search(self, state: SearchState, generator: torch.Generator) -> None:
        for _ in range(self.restarts):
            if not len(state):
                break
            self._climb(state, generator)
            state.drop_succeeded()

    def _climb(self, state: SearchState, generator: torch.Generator) -> None:
        images, labels = state.images, state.labels
        drawn = torch.rand(len(images), 3, generator=generator, device=generator.device)
        movement = (2 * drawn - 1).to(images)
        for step in range(self.steps + 1):
            look = input_gradient(
                lambda m: state.model(self._moved(images, m)), movement, lambda logits, _: margin(logits, labels)
            )
            state.update(self._moved(images, movement), look.loss, look.logits)
            size = self.step_size * (1 - step / self.steps)
            movement = (movement + size * look.gradient.sign()).clamp(-1, 1)


def _even(count: int) -> list[float]:
    """Evenly spaced from -1 to 1, the middle alone for one."""
    return [0.0] if count == 1 else torch.linspace(-1, 1, count).tolist()
