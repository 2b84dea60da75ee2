"""How AutoPGD steps, and what it changes at its checkpoints (Croce & Hein 2020; 2021 for l1)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

import torch
from torch import Tensor

from robustcnn.attacks.base import Slope
from robustcnn.core.norms.batched import ascend, per_example, pick
from robustcnn.core.norms.norm import Projector
from robustcnn.core.threat import ThreatModel

TIE = 4
"""Units of rounding that two losses may differ by and be the same."""


@dataclass(kw_only=True, slots=True)
class Run:
    """One ascent under way; every tensor has one entry an example."""

    threat: ThreatModel
    project: Projector
    origin: Tensor
    current: Tensor
    previous: Tensor
    gradient: Tensor
    loss: Tensor
    best: Tensor
    best_gradient: Tensor
    best_loss: Tensor
    stride: Tensor
    """In pixel units."""

    @property
    def kept(self) -> dict[str, Tensor]:
        """For a snapshot."""
        values = {name: getattr(self, name) for name in self._names()}
        return {name: torch.stack(value) if isinstance(value, list) else value for name, value in values.items()}

    @classmethod
    def taken_up(cls, origin: Tensor, threat: ThreatModel, kept: Mapping[str, Any]) -> Self:
        """As the snapshot says."""
        values: dict[str, Any] = {name: kept[name] for name in cls._names()}
        if "losses" in values:
            values["losses"] = list(kept["losses"])
        return cls(threat=threat, project=threat.projector(origin), **values)

    @classmethod
    def _names(cls) -> set[str]:
        return {field.name for field in fields(cls)} - {"threat", "project"}

    def keep(self, rows: Tensor | None) -> None:
        """Go on with these examples alone (None: all), whose claims of success were wrong if they made any."""
        self.best_loss = self.best_loss.masked_fill(self.best_loss.isposinf(), -torch.inf)
        if rows is None:
            return
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Tensor):
                setattr(self, field.name, value[rows])
        self.threat = self.threat.of(rows)
        self.project = self.threat.projector(self.origin)

    def arrive(self, images: Tensor, slope: Slope, score: Tensor | None = None) -> None:
        """The step led here; the best point is that of the greatest score, which is the loss when not given."""
        score = slope.loss if score is None else score
        self.previous, self.current = self.current, images
        self.loss, self.gradient = slope.loss, slope.gradient
        # A number at once, which is what choosing by interpolation needs.
        better = self._beats(score, torch.empty_like(self.best_loss))
        self.best_loss = torch.fmax(self.best_loss, score)
        self.best = pick(better, images, self.best)
        self.best_gradient = pick(better, slope.gradient, self.best_gradient)

    def _beats(self, score: Tensor, answer: Tensor) -> Tensor:
        """The answer: 1 where this score is better than that of the best point, else 0."""
        return torch.gt(score, self.best_loss, out=answer)

    def go_back(self, chosen: Tensor) -> None:
        """The chosen examples continue from the best point they have seen."""
        self.current = pick(chosen, self.best, self.current)
        self.gradient = pick(chosen, self.best_gradient, self.gradient)
        self.loss = torch.where(chosen, self.best_loss, self.loss)


@dataclass(kw_only=True, slots=True)
class DenseRun(Run):
    """Steps with momentum, halved when they stop to pay: linf and l2."""

    losses: list[Tensor]
    """From the last checkpoint on; compared with each other at the next one only, all at once."""
    halved: Tensor
    """Whether the last checkpoint halved the stride."""
    best_then: Tensor
    """Best loss at the last checkpoint."""

    @classmethod
    def begin(
        cls,
        origin: Tensor,
        start: Tensor,
        slope: Slope,
        threat: ThreatModel,
        *,
        fresh: bool,  # noqa: ARG003
        score: Tensor | None = None,
    ) -> DenseRun:
        beginning = _beginning(origin, start, slope, threat, score, stride=2)
        return cls(
            **beginning,
            losses=[slope.loss],
            # As if halved just now: at the first checkpoint the gains alone decide.
            halved=torch.ones_like(slope.loss, dtype=torch.bool),
            best_then=beginning["best_loss"],
        )

    def propose(self, *, first: bool) -> Tensor:
        """Three quarters of a gradient step and a quarter of the last move; the first step has no last move."""
        uphill = self.threat.steepest(self.gradient)
        stepped = self.project(ascend(self.current, uphill, per_example(self.stride, uphill)))
        if first:
            return stepped
        # current + 3/4 (stepped - current) + 1/4 (current - previous)
        return self.project(torch.lerp(torch.lerp(self.previous, self.current, 2.0), stepped, 0.75))

    def arrive(self, images: Tensor, slope: Slope, score: Tensor | None = None) -> None:
        self.losses.append(slope.loss)
        Run.arrive(self, images, slope, score)

    def review(self, *, steps: int, rho: float) -> None:
        """Halve the stride, and go back, where too few of the last `steps` gained or the same stride gained nothing."""
        # Greater than: not halved then, and no better now.
        stuck = (self.best_loss <= self.best_then) > self.halved
        self.halved = stuck | (self.gains <= rho * steps)
        self.stride = torch.where(self.halved, self.stride / 2, self.stride)
        self.best_then = self.best_loss
        self.go_back(self.halved)
        self.losses = [self.loss]

    @property
    def gains(self) -> Tensor:
        """Steps since the last checkpoint that raised the loss (N,)."""
        losses = torch.stack(self.losses)
        return (losses[1:] > losses[:-1]).sum(0)

    def keep(self, rows: Tensor | None) -> None:
        if rows is not None:
            self.losses = [losses[rows] for losses in self.losses]
        Run.keep(self, rows)

    @staticmethod
    def checkpoints(steps: int) -> list[int]:
        """After which steps to review: 22 % of them, then at intervals that shrink by 3 % down to 6 %."""
        # Counted in whole per cent, as 0.22 + 0.19 is not quite 0.41.
        marks, gap = [22], 22
        while marks[-1] < 100:
            gap = max(gap - 3, 6)
            marks.append(marks[-1] + gap)
        return sorted({-(-mark * steps // 100) for mark in marks if mark <= 100})


@dataclass(kw_only=True, slots=True)
class SparseRun(Run):
    """Steps that move ever fewer pixels, as few as the best point suggests: l1."""

    wanted: Tensor
    """Pixels that a step moves."""
    moved: Tensor
    """Pixels in which the best point differed from the image at the last checkpoint."""
    longest: Tensor
    """Stride to return to whenever the support shrinks."""

    @classmethod
    def begin(
        cls,
        origin: Tensor,
        start: Tensor,
        slope: Slope,
        threat: ThreatModel,
        *,
        fresh: bool,
        score: Tensor | None = None,
    ) -> SparseRun:
        beginning, pixels = _beginning(origin, start, slope, threat, score, stride=1), origin.shape[1:].numel()
        moved = torch.full_like(slope.loss, pixels) if fresh else _moved(start, origin)
        count = torch.full_like(slope.loss, math.ceil(0.2 * pixels)) if fresh else _narrower(moved)
        return cls(**beginning, wanted=_whole(count, pixels), moved=moved, longest=beginning["stride"])

    def _beats(self, score: Tensor, answer: Tensor) -> Tensor:
        # Of two points with one loss the later is the sparser: keeping the earlier would hold the steps as wide as it.
        # One loss is what rounding alone tells apart. But the first success is kept.
        # (Of an infinite one this makes something that is not a number, and nothing is as good as that.)
        rounding = TIE * torch.finfo(score.dtype).eps
        return torch.ge(score, self.best_loss.sub(self.best_loss.abs(), alpha=rounding), out=answer)

    def propose(self, *, first: bool) -> Tensor:  # noqa: ARG002
        """One step without momentum, which would blur what is sparse."""
        uphill = self.threat.steepest(self.gradient, share=self.wanted, current=self.current)
        return self.project(ascend(self.current, uphill, per_example(self.stride, uphill)))

    def review(self, *, steps: int, rho: float) -> None:  # noqa: ARG002
        """Where the best point has become sparser start afresh from it with long strides; elsewhere shorten them."""
        moved = _moved(self.best, self.origin)
        sparser = moved < 0.95 * self.moved
        self.wanted = _whole(_narrower(moved), self.origin.shape[1:].numel())
        shorter = (self.stride / 1.5).maximum(self.longest / 10)
        self.stride, self.moved = torch.where(sparser, self.longest, shorter), moved
        self.go_back(sparser)

    @staticmethod
    def checkpoints(steps: int) -> list[int]:
        """After which steps to review: every 4 % of them."""
        gap = max(steps * 4 // 100, 1)
        return list(range(gap, steps + 1, gap))


def _beginning(
    origin: Tensor, start: Tensor, slope: Slope, threat: ThreatModel, score: Tensor | None, *, stride: float
) -> dict[str, Any]:
    score = slope.loss if score is None else score
    # Anything is better than a start whose loss is no number.
    best_loss = score.nan_to_num(nan=-torch.inf, posinf=torch.inf, neginf=-torch.inf)
    return {
        "threat": threat,
        "project": threat.projector(origin),
        "origin": origin,
        "current": start,
        "previous": start,
        "gradient": slope.gradient,
        "loss": slope.loss,
        "best": start,
        "best_gradient": slope.gradient,
        "best_loss": best_loss,
        "stride": stride * threat.eps_of(origin),
    }


def _narrower(moved: Tensor) -> Tensor:
    """How many pixels to step in: two thirds of the moved ones, rounded up; of two moved ones, one."""
    return torch.where(moved == 2, 1, (moved / 1.5).ceil())


def _whole(count: Tensor, pixels: int) -> Tensor:
    return count.long().clamp_(1, pixels)


def _moved(images: Tensor, origin: Tensor) -> Tensor:
    return (images != origin).flatten(1).sum(1, dtype=origin.dtype)
