"""Ascents on margins with a cosine step: one term after the other, or towards the nearest classes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice

import torch
from torch import Tensor, nn

from robustcnn.attacks.base import Guarded, input_gradient
from robustcnn.attacks.linearise import nearest_targets
from robustcnn.attacks.search_state import SearchState
from robustcnn.core.losses import margin
from robustcnn.core.snapshots import due, frame
from robustcnn.core.threat import ThreatModel
from robustcnn.fast.view import exact_logits

SHARPNESS = 10.0
"""The range that an example's logits are brought to before they become probabilities, however sure the model is."""
LossAt = Callable[[Tensor, Tensor, float], Tensor]
"""Of logits, of the rows that they belong to, and of how much of the ascent is done (0 to 1): one value an example."""


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class _Margins(Guarded):
    """What both ascents share; every success is kept and its example left alone."""

    steps: int
    """Gradients taken in one ascent."""
    restarts: int = 1
    """Ascents of each kind: the first from the image itself, the others from random points of the ball."""
    eot: int = 1
    """Forward passes whose mean gradient is taken; more than 1 for models that draw random numbers."""
    share: float = 0.05
    """l1 only: share of the pixels that one step moves; 0 moves a single one."""

    def __post_init__(self) -> None:
        for name, count in {"steps": self.steps, "restarts": self.restarts, "eot": self.eot}.items():
            if count < 1:
                raise ValueError(f"{name} must be at least 1, got {count}")
        if not 0 <= self.share <= 1:
            raise ValueError(f"share must lie in [0, 1], got {self.share:g}")

    @property
    def takes_eps_each(self) -> bool:
        return True

    def climbs(
        self, state: SearchState, losses: Sequence[LossAt], fresh: int, threat: ThreatModel, generator: torch.Generator
    ) -> Tensor:
        """One ascent after the other, the first so many from the images themselves."""
        number = 0
        with frame("climbs", lambda: {"number": number, **state.kept}) as before:
            if before:
                state.take_up(before)
            for number in range(before["number"] if before else 0, len(losses)):
                if not len(state):
                    break
                self.climb(state, losses[number], threat, generator, fresh=number < fresh)
        return state.best_found

    def climb(
        self, state: SearchState, loss: LossAt, threat: ThreatModel, generator: torch.Generator, *, fresh: bool
    ) -> None:
        """One ascent of those who stand; `fresh`: from the images themselves."""
        threat.refuse_infinite(type(self).__name__)
        origin, threat = state.images, threat.of(state.rows)
        current, begun = origin if fresh else threat.sample(origin, generator), 0
        with frame("climb", lambda: {"begun": begun, "current": current}) as before:
            if before:
                begun, current = before["begun"], before["current"]
            for step in range(begun, self.steps):
                done = step / self.steps
                slope = input_gradient(state.model, current, partial(_of_part, loss, state.rows, done), draws=self.eot)
                gradient = slope.gradient
                state.update(current, slope.loss, slope.logits, ranked=False)
                stay = state.compact(step)
                if stay is not None:
                    origin, threat, current, gradient = state.images, threat.of(stay), current[stay], gradient[stay]
                    if not len(stay):
                        return
                length = threat.radius(current) * (1 + math.cos(math.pi * done))
                current = threat.project(
                    current + length * threat.steepest(gradient, share=self.share, current=current), origin
                )
                begun = step + 1
                due()
        logits = exact_logits(state.model, current)
        state.finish_restart(current, margin(logits, state.labels), logits)


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class StagedPGD(_Margins):
    """Ascent on the probability margin p_other - p_true, the first half of the steps on one of its terms alone."""

    steps: int = 100
    orders: int = 2
    """1: begins by lowering p_true; 2: then once more, beginning by raising p_other."""

    def __post_init__(self) -> None:
        _Margins.__post_init__(self)
        if self.orders not in (1, 2):
            raise ValueError(f"orders must be 1 or 2, got {self.orders}")

    def search(
        self, model: nn.Module, images: Tensor, labels: Tensor, threat: ThreatModel, generator: torch.Generator
    ) -> Tensor:
        state, classes = _begin(model, images, labels)
        losses = [_staged(labels, order) for order in range(self.orders)] * self.restarts
        # Of two classes both terms say the same: a second ascent from the image would be the first.
        return self.climbs(state, losses, self.orders if classes > 2 else 1, threat, generator)


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class NearestTargets(_Margins):
    """Ascent on the plain margin towards the few wrong classes whose boundaries are nearest by linearised distance."""

    steps: int = 30
    targets: int = 3
    """Classes aimed at, the nearest first."""
    candidates: int = 9
    """Likeliest wrong classes among which the nearest are looked for."""

    def __post_init__(self) -> None:
        _Margins.__post_init__(self)
        if not 1 <= self.targets <= self.candidates:
            raise ValueError(f"targets must lie in 1..{self.candidates} (candidates), got {self.targets}")

    def search(
        self, model: nn.Module, images: Tensor, labels: Tensor, threat: ThreatModel, generator: torch.Generator
    ) -> Tensor:
        state, _ = _begin(model, images, labels)
        if not len(state):
            return state.best_found
        rows = state.rows
        nearest = nearest_targets(
            model, images[rows], labels[rows], threat.of(rows), count=self.targets, candidates=self.candidates
        )
        aims = [labels.index_copy(0, rows, each) for each in nearest.unbind(1)]
        # Where there are fewer classes, each is aimed at more often.
        losses = [_towards(labels, each) for each in islice(cycle(aims), self.targets * self.restarts)]
        return self.climbs(state, losses, len(aims), threat, generator)


def _of_part(loss: LossAt, rows: Tensor, done: float, logits: Tensor, part: slice) -> Tensor:
    return loss(logits, rows[part], done)


def _range(logits: Tensor) -> Tensor:
    low, high = logits.detach().aminmax(dim=1)
    return (high - low).clamp_min(torch.finfo(logits.dtype).tiny)


def _begin(model: nn.Module, images: Tensor, labels: Tensor) -> tuple[SearchState, int]:
    """What is known of the images as they are, and how many classes there are."""
    state = SearchState(model, images, labels)
    logits = exact_logits(model, images)
    state.update(images, margin(logits, labels), logits)
    state.drop_succeeded()
    return state, logits.shape[1]


def _staged(labels: Tensor, order: int) -> LossAt:
    def loss(logits: Tensor, rows: Tensor, done: float) -> Tensor:
        # A model sure of itself has probabilities of exactly 0 and 1, without a slope.
        probabilities = (logits * (SHARPNESS / _range(logits))[:, None]).softmax(1)
        true = probabilities.gather(1, labels[rows, None]).squeeze(1)
        other = probabilities.scatter(1, labels[rows, None], 0).amax(1)
        if done >= 0.5:
            return other - true
        return other if order else -true

    return loss


def _towards(labels: Tensor, targets: Tensor) -> LossAt:
    def loss(logits: Tensor, rows: Tensor, done: float) -> Tensor:  # noqa: ARG001
        return (logits.gather(1, targets[rows, None]) - logits.gather(1, labels[rows, None])).squeeze(1)

    return loss
