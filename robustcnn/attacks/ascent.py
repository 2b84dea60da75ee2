"""The one loop of the gradient attacks: take the gradient, step up, project back into the ball."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from robustcnn.attacks.base import Guarded, Slope, climbed, input_gradient
from robustcnn.attacks.cycles import Cycles
from robustcnn.attacks.search_state import SearchState
from robustcnn.attacks.targets import Target, choose_targets
from robustcnn.core.losses import LossName, attack_loss
from robustcnn.core.norms.batched import ascend, pick
from robustcnn.core.norms.norm import Radius
from robustcnn.core.snapshots import due, frame
from robustcnn.core.threat import ThreatModel
from robustcnn.fast.plain_view import View
from robustcnn.fast.view import exact_logits

Schedule = Literal["constant", "linear", "cosine"]


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class GradientAttack(Guarded):
    """Projected gradient ascent; a subclass overrides properties by fields, and steps of the loop by methods."""

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

    @property
    def steps(self) -> int:
        return 1

    @property
    def step_size(self) -> float | None:
        return None

    @property
    def path(self) -> float:
        """Length of all steps together, in units of eps, when no step size is given."""
        return 2.5

    @property
    def schedule(self) -> Schedule:
        return "constant"

    @property
    def random_start(self) -> bool:
        return False

    @property
    def restarts(self) -> int:
        return 1

    @property
    def best(self) -> bool:
        return False

    def __post_init__(self) -> None:
        for name, count in {"steps": self.steps, "restarts": self.restarts, "eot": self.eot}.items():
            if count < 1:
                raise ValueError(f"{name} must be at least 1, got {count}")
        if self.step_size is not None and not self.step_size >= 0:
            raise ValueError(f"step_size must not be negative, got {self.step_size:g}")
        if self.restarts > 1 and not self.random_start:
            raise ValueError(f"restarts must be 1 without random_start (all would be the same), got {self.restarts}")
        if not 0 <= self.share <= 1:
            raise ValueError(f"share must lie in [0, 1], got {self.share:g}")

    @property
    def takes_eps_each(self) -> bool:
        return True

    def search(
        self, model: nn.Module, images: Tensor, labels: Tensor, threat: ThreatModel, generator: torch.Generator
    ) -> Tensor:
        size = self.first_step(threat, images)
        targets = None
        if self.target != "none":
            targets = choose_targets(self.target, exact_logits(model, images), labels, generator=generator)
        state = SearchState(model, images, labels, targets=targets, stop=self.stop, planned=self.steps * self.restarts)
        restart = 0
        with frame("restarts", lambda: {"restart": restart, **state.kept}) as before:
            if before:
                state.take_up(before)
            for restart in range(before["restart"] if before else 0, self.restarts):  # noqa: B007
                last = self._climb(state, threat.of(state.rows), _of(size, state.rows), generator)
                if not (self.stop or self.best or self.restarts > 1):
                    state.found = last
                    break
                if len(state):
                    logits = exact_logits(model, last)
                    state.finish_restart(last, self.loss_of(state, logits), logits)
                if not len(state):
                    break
        if targets is None:
            return state.best_found
        # No image can be led to the class that is already right.
        return pick(targets == labels, images, state.best_found)

    def first_step(self, threat: ThreatModel, images: Tensor) -> Radius:
        """The length of the first step, in pixel units."""
        if self.step_size is not None:
            return self.step_size
        if not isinstance(threat.radius(images), Tensor) and math.isinf(threat.one_eps):
            raise ValueError("step_size must be given when eps is inf: there is no ball to measure it by")
        return self.path * threat.radius(images) / self.steps

    def step_length(self, step: int) -> float:
        """The length of this step (counted from 0) as a share of the first one."""
        done = step / self.steps
        return {"constant": 1.0, "linear": 1 - done, "cosine": (1 + math.cos(math.pi * done)) / 2}[self.schedule]

    @property
    def repeats_itself(self) -> bool:
        """Whether every step is the same function of the image alone, so that an image may go round in a circle."""
        kind, usual = type(self), GradientAttack
        same = kind.look is usual.look and kind.direction is usual.direction and kind.step_length is usual.step_length
        return same and self.schedule == "constant" and self.eot == 1

    def look(
        self,
        state: SearchState,
        current: Tensor,
        direction: Tensor,
        threat: ThreatModel,
        size: Radius,
        generator: torch.Generator,
    ) -> Slope:
        """Loss and logits at the `current` images, and the gradient to follow, the mean of `eot` draws."""
        del direction, threat, size, generator
        return self.slope(state, state.model, current)

    def direction(self, previous: Tensor, gradient: Tensor) -> Tensor:
        """What the next step follows, given what the previous one followed (0 at first) and the new gradient."""
        del previous
        return gradient

    def slope(self, state: SearchState, model: nn.Module, images: Tensor) -> Slope:
        """Loss, logits and gradient of a model at these images of the active examples."""
        chunk = state.model.chunk if isinstance(state.model, View) else None
        loss = climbed(self.loss, state.labels, state.targets)
        return input_gradient(model, images, loss, draws=self.eot, chunk=chunk)

    def loss_of(self, state: SearchState, logits: Tensor, part: slice = slice(None)) -> Tensor:
        """What is climbed, for a part of the active examples."""
        targets = None if state.targets is None else state.targets[part]
        return attack_loss(self.loss, logits, state.labels[part], targets)

    def _climb(self, state: SearchState, threat: ThreatModel, size: Radius, generator: torch.Generator) -> Tensor:
        """The images after the last step, of the examples that are still attacked then."""
        origin = state.images
        current = threat.sample(origin, generator) if self.random_start else origin
        direction, done, ended = torch.zeros_like(origin), 0, origin[:0]
        cycles = Cycles(state.model, self.steps) if self.repeats_itself else None

        def kept() -> dict[str, Tensor | int]:
            return {"done": done, "current": current, "direction": direction, "ended": ended}

        with frame("climb", kept) as before:
            if before:
                done, current, direction, ended = (before[each] for each in kept())
            for step in range(done, self.steps):
                slope = self.look(state, current, direction, threat, size, generator)
                gradient = slope.gradient
                if self.stop or self.best:
                    state.update(current, slope.loss, slope.logits, ranked=self.best)
                parted = None if cycles is None else cycles.closed(step, current, slope.logits)
                if parted:
                    ended = torch.cat([ended, current[parted[1]]])
                stay = self._staying(state, step, parted)
                if stay is not None:
                    current, direction, gradient = (each[stay] for each in (current, direction, gradient))
                    origin, threat, size = state.images, threat.of(stay), _of(size, stay)
                    if cycles:
                        cycles.keep(stay)
                    if not len(stay):
                        break
                direction = self.direction(direction, gradient)
                uphill = threat.steepest(direction, share=self.share, current=current)
                current = threat.project(ascend(current, uphill, size * self.step_length(step)), origin)
                done = step + 1
                due()
        return torch.cat([current, ended])[state.rejoin()] if len(ended) else current

    def _staying(self, state: SearchState, step: int, parted: tuple[Tensor, Tensor] | None) -> Tensor | None:
        """Who goes on, where some have come round or succeeded."""
        if parted:
            state.rest(*parted)
        left = state.compact(step) if self.stop or self.best else None
        if not parted:
            return left
        return parted[0] if left is None else parted[0][left]


def _of(size: Radius, rows: Tensor) -> Radius:
    return size[rows] if isinstance(size, Tensor) else size
