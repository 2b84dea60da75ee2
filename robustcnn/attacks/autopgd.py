"""AutoPGD: gradient ascent that finds its own step sizes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from robustcnn.attacks.autopgd_rules import DenseRun, SparseRun
from robustcnn.attacks.base import Guarded, Slope, climbed, input_gradient
from robustcnn.attacks.search_state import SearchState
from robustcnn.attacks.side_by_side import copies, folded, joined, side_by_side, widened
from robustcnn.attacks.targets import runner_up
from robustcnn.core.losses import LossName
from robustcnn.core.snapshots import due, frame
from robustcnn.core.threat import ThreatModel
from robustcnn.fast.view import exact_logits


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class APGD(Guarded):
    """Gradient ascent with momentum whose step size follows its own progress (Croce & Hein 2020; 2021 for l1)."""

    steps: int = 100
    """Gradients taken in one restart."""
    restarts: int = 1
    """Random starts, each for the examples that still stand."""
    loss: LossName = "odds"
    """What to climb: log-odds (the way up of cross-entropy, never rounded away), ce (itself), margin, or dlr."""
    targets: int = 0
    """Aim at this many wrong classes in turn, the likeliest first; 0 aims at none in particular."""
    eot: int = 1
    """Forward passes whose mean gradient is taken; more than 1 for models that draw random numbers."""
    rho: float = 0.75
    """Share of steps that must raise the loss if the step size is to stay; not used for l1."""
    relax: bool = True
    """l1 only: first search in balls three and two times as large."""
    stop: bool = True
    """Keep the first fooled image of an example and go on with the others; else keep the worst of all."""

    def __post_init__(self) -> None:
        for name, count in {"steps": self.steps, "restarts": self.restarts, "eot": self.eot}.items():
            if count < 1:
                raise ValueError(f"{name} must be at least 1, got {count}")
        if self.targets < 0:
            raise ValueError(f"targets must be 0 (none) or a number of classes, got {self.targets}")
        if not 0 < self.rho <= 1:
            raise ValueError(f"rho must lie in (0, 1], got {self.rho:g}")

    @property
    def takes_eps_each(self) -> bool:
        return True

    def search(
        self, model: nn.Module, images: Tensor, labels: Tensor, threat: ThreatModel, generator: torch.Generator
    ) -> Tensor:
        state = SearchState(
            model, images, labels, stop=self.stop, planned=self.steps * self.restarts * max(self.targets, 1)
        )
        # A model that draws random numbers is judged by the mean of its answers, as on every later step.
        answers = [exact_logits(model, images) for _ in range(self.eot)]
        logits = torch.stack(answers).mean(0) if answers[1:] else answers[0]
        if self.stop:
            state.update(images, logits[:, 0], logits, ranked=False)
            state.drop_succeeded()
        aims, number = list(self._aims(logits, labels)), 0
        with frame("restarts", lambda: {"number": number, **state.kept}) as before:
            if before:
                state.take_up(before)
                number = before["number"]
            while number < len(aims) and len(state):
                count = side_by_side(model, state.images, len(aims) - number) if self.stop else 1
                self._restarts(state, aims[number : number + count], threat, generator)
                number += count
        return state.best_found

    def _aims(self, logits: Tensor, labels: Tensor) -> Iterator[Tensor | None]:
        """One entry a restart: the class that each example is to be led to, if any."""
        if not self.targets:
            yield from [None] * self.restarts
        for rank in range(1, min(self.targets, logits.shape[1] - 1) + 1):
            yield from [runner_up(logits, labels, rank)] * self.restarts

    def _restarts(
        self, state: SearchState, aims: list[Tensor | None], threat: ThreatModel, generator: torch.Generator
    ) -> None:
        """One, or several side by side."""
        count = len(aims)
        if count == 1:
            self._restart(state, aims[0], threat, generator)
            return
        wide = widened(state, count)
        with frame("side by side", lambda: wide.kept) as before:
            if before:
                wide.take_up(before)
            self._restart(wide, joined(aims, state.rows), threat.of(copies(state.rows, count)), generator)
        folded(state, wide, count)

    def _restart(
        self, state: SearchState, aims: Tensor | None, threat: ThreatModel, generator: torch.Generator
    ) -> None:
        best: Tensor | None = None
        phases, phase = self._phases(threat), 0
        with frame("phases", lambda: {"phase": phase, "best": best}) as before:
            if before:
                best = before["best"]
            for phase in range(before["phase"] if before else 0, len(phases)):
                factor, steps = phases[phase]
                ball = threat.of(state.rows).times(factor)
                best = self._climb(state, aims, ball, generator, best, steps, watched=factor == 1, fresh=not phases[1:])

    def _climb(
        self,
        state: SearchState,
        aims: Tensor | None,
        ball: ThreatModel,
        generator: torch.Generator,
        best: Tensor | None,
        steps: int,
        *,
        watched: bool,
        fresh: bool,
    ) -> Tensor:
        """The point of greatest loss for each of the examples that are still attacked at the end."""
        run: DenseRun | SparseRun
        kind, origin, reviewed, done = SparseRun if ball.sparse else DenseRun, state.images, 0, 0
        with frame("climb", lambda: {"done": done, "reviewed": reviewed, **run.kept}) as before:
            if before:
                done, reviewed = before["done"], before["reviewed"]
                run = kind.taken_up(origin, ball, before)
            else:
                start = ball.sample(origin, generator, surface=True) if best is None else ball.project(best, origin)
                slope = self._look(state, start, aims)
                # What fools in a larger ball counts for nothing but as a start.
                score = self._score(state, start, slope) if watched else slope.loss
                run = kind.begin(origin, start, slope, ball, fresh=fresh, score=score)
            checkpoints = run.checkpoints(steps)
            for step in range(done + 1, steps + 1):
                images = run.propose(first=step == 1)
                slope = self._look(state, images, aims)
                run.arrive(images, slope, self._score(state, images, slope) if watched else slope.loss)
                if watched and self.stop and (step == steps or state.is_due(step)):
                    self._drop(run, state, last=step == steps)
                    if not len(state):
                        break
                if step in checkpoints:
                    run.review(steps=step - reviewed, rho=self.rho)
                    reviewed = step
                done = step
                due()
        return run.best

    def _score(self, state: SearchState, images: Tensor, slope: Slope) -> Tensor:
        """What is to become the best point: inf for a success with `stop`, so that the first one is kept."""
        if self.stop:
            return state.rank(slope.loss, slope.logits)
        state.update(images, slope.loss, slope.logits)
        return slope.loss

    def _drop(self, run: DenseRun | SparseRun, state: SearchState, *, last: bool) -> None:
        """Go on without those that succeeded, once they are enough, and leave the best points with the state."""
        if last or state.is_worth_dropping(run.best_loss):
            state.take(run.best, run.best_loss)
            run.keep(state.drop_succeeded())

    def _look(self, state: SearchState, images: Tensor, aims: Tensor | None) -> Slope:
        targets = None if aims is None else aims[state.rows]
        return input_gradient(state.model, images, climbed(self.loss, state.labels, targets), draws=self.eot)

    def _phases(self, threat: ThreatModel) -> list[tuple[float, int]]:
        """Balls to search one after the other, in units of eps, and for how many steps."""
        early = math.ceil(0.3 * self.steps)
        if not (threat.sparse and self.relax and early):
            return [(1, self.steps)]
        return [(3, early), (2, early), (1, self.steps - 2 * early)]
