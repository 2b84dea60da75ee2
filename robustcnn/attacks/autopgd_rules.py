"""How AutoPGD steps, and what it changes at its checkpoints (Croce & Hein 2020; 2021 for l1)."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from robustcnn.attacks.base import Slope
from robustcnn.core.norms.batched import per_example
from robustcnn.core.threat import ThreatModel


@dataclass(kw_only=True, slots=True)
class Run:
    """One ascent under way; every field has one entry an example."""

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

    def keep(self, rows: Tensor) -> None:
        """Go on with these examples alone."""
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name)[rows])

    def arrive(self, images: Tensor, slope: Slope) -> None:
        """The step led here."""
        self.previous, self.current = self.current, images
        self.loss, self.gradient = slope.loss, slope.gradient
        better = self._beats(slope.loss)
        self.best_loss = torch.where(better, slope.loss, self.best_loss)
        self.best = torch.where(per_example(better, images), images, self.best)
        self.best_gradient = torch.where(per_example(better, images), slope.gradient, self.best_gradient)

    def _beats(self, loss: Tensor) -> Tensor:
        # Anything is better than a start whose loss is no number.
        return (loss > self.best_loss) | self.best_loss.isnan()

    def go_back(self, chosen: Tensor) -> None:
        """The chosen examples continue from the best point they have seen."""
        shaped = per_example(chosen, self.current)
        self.current = torch.where(shaped, self.best, self.current)
        self.gradient = torch.where(shaped, self.best_gradient, self.gradient)
        self.loss = torch.where(chosen, self.best_loss, self.loss)


@dataclass(kw_only=True, slots=True)
class DenseRun(Run):
    """Steps with momentum, halved when they stop to pay: linf and l2."""

    gains: Tensor
    """Steps since the last checkpoint that raised the loss."""
    halved: Tensor
    """Whether the last checkpoint halved the stride."""
    best_then: Tensor
    """Best loss at the last checkpoint."""

    @classmethod
    def begin(cls, origin: Tensor, start: Tensor, slope: Slope, threat: ThreatModel, *, fresh: bool) -> DenseRun:  # noqa: ARG003
        loss = slope.loss
        return cls(
            **_beginning(origin, start, slope, 2 * threat.eps),
            gains=torch.zeros_like(loss),
            # As if halved just now: at the first checkpoint the gains alone decide.
            halved=torch.ones_like(loss, dtype=torch.bool),
            best_then=loss,
        )

    def propose(self, threat: ThreatModel, *, first: bool) -> Tensor:
        """Three quarters of a gradient step and a quarter of the last move; the first step has no last move."""
        step = per_example(self.stride, self.current) * threat.steepest(self.gradient)
        stepped = threat.project(self.current + step, self.origin)
        if first:
            return stepped
        mixed = self.current + 0.75 * (stepped - self.current) + 0.25 * (self.current - self.previous)
        return threat.project(mixed, self.origin)

    def arrive(self, images: Tensor, slope: Slope) -> None:
        self.gains = self.gains + (slope.loss > self.loss)
        Run.arrive(self, images, slope)

    def review(self, *, steps: int, rho: float) -> None:
        """Halve the stride, and go back, where too few of the last `steps` gained or the same stride gained nothing."""
        stuck = ~self.halved & (self.best_loss <= self.best_then)
        self.halved = stuck | (self.gains <= rho * steps)
        self.stride = torch.where(self.halved, self.stride / 2, self.stride)
        self.best_then, self.gains = self.best_loss, torch.zeros_like(self.gains)
        self.go_back(self.halved)

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

    share: Tensor
    """Of the pixels that a step moves."""
    moved: Tensor
    """Pixels in which the best point differed from the image at the last checkpoint."""
    longest: Tensor
    """Stride to return to whenever the support shrinks."""

    @classmethod
    def begin(cls, origin: Tensor, start: Tensor, slope: Slope, threat: ThreatModel, *, fresh: bool) -> SparseRun:
        beginning, pixels = _beginning(origin, start, slope, threat.eps), origin[0].numel()
        moved = torch.full_like(slope.loss, pixels) if fresh else _moved(start, origin)
        count = torch.full_like(slope.loss, math.ceil(0.2 * pixels)) if fresh else _narrower(moved)
        return cls(**beginning, share=count / pixels, moved=moved, longest=beginning["stride"])

    def _beats(self, loss: Tensor) -> Tensor:
        # Of two points with one loss the later is the sparser: keeping the earlier would hold the steps as wide as it.
        return (loss >= self.best_loss) | self.best_loss.isnan()

    def propose(self, threat: ThreatModel, *, first: bool) -> Tensor:  # noqa: ARG002
        """One step without momentum, which would blur what is sparse."""
        step = threat.steepest(self.gradient, share=self.share, current=self.current)
        return threat.project(self.current + per_example(self.stride, step) * step, self.origin)

    def review(self, *, steps: int, rho: float) -> None:  # noqa: ARG002
        """Where the best point has become sparser start afresh from it with long strides; elsewhere shorten them."""
        moved = _moved(self.best, self.origin)
        sparser = moved < 0.95 * self.moved
        self.share = _narrower(moved) / self.origin[0].numel()
        shorter = (self.stride / 1.5).maximum(self.longest / 10)
        self.stride, self.moved = torch.where(sparser, self.longest, shorter), moved
        self.go_back(sparser)

    @staticmethod
    def checkpoints(steps: int) -> list[int]:
        """After which steps to review: every 4 % of them."""
        gap = max(steps * 4 // 100, 1)
        return list(range(gap, steps + 1, gap))


def _beginning(origin: Tensor, start: Tensor, slope: Slope, stride: float) -> dict[str, Tensor]:
    return {
        "origin": origin,
        "current": start,
        "previous": start,
        "gradient": slope.gradient,
        "loss": slope.loss,
        "best": start,
        "best_gradient": slope.gradient,
        "best_loss": slope.loss,
        "stride": torch.full(slope.loss.shape, stride, dtype=origin.dtype, device=origin.device),
    }


def _narrower(moved: Tensor) -> Tensor:
    """How many pixels to step in: two thirds of the moved ones, rounded up; of two moved ones, one."""
    return torch.where(moved == 2, 1, (moved / 1.5).ceil())


def _moved(images: Tensor, origin: Tensor) -> Tensor:
    return (images != origin).flatten(1).sum(1).to(origin.dtype)
