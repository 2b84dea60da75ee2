"""The pieces that an evaluation is made of, and who may work on them elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from robustcnn.attacks.base import Attack
from robustcnn.attacks.black_box import BlackBoxView, Pool
from robustcnn.attacks.craft import prepare
from robustcnn.core.snapshots import kept_in
from robustcnn.core.threat import ThreatModel
from robustcnn.data import ResidentDataset
from robustcnn.data.resident import as_pixels
from robustcnn.evaluate.judging import Tries, attempt
from robustcnn.evaluate.parts import Parts
from robustcnn.evaluate.plan import Plan

BatchSize = int | Literal["auto"]
Compile = Literal["auto", "yes", "no"]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Piece:
    """One attack on some rows in one ball: all that its outcome depends on besides the job."""

    name: str
    attack: Attack
    threat: ThreatModel
    rows: Tensor
    seed: int
    left: int = 1
    """Pieces of its chain that are still to be made, this one counted."""


Chain = Generator[Piece, Tries, None]
"""Pieces of which each depends on what came of the one before: it is sent that."""


def alone(piece: Piece) -> Chain:
    """A chain of one."""
    yield piece


class Seen(NamedTuple):
    """What was seen of a model before any piece was made."""

    clean: Tensor
    """Its logits (N, K) on the data, on the CPU."""
    pace: float | None
    """Seconds an image and pass; None where nobody asked, or where the model may only be asked."""


@dataclass(kw_only=True, eq=False)
class Job:
    """What pieces are about."""

    model: nn.Module
    data: ResidentDataset
    plan: Plan
    clean: Tensor = field(default_factory=lambda: torch.empty(0, 0))
    """The model's logits (N, K) on the data, on the CPU, once it was asked; pieces need them of black boxes only."""
    batch_size: BatchSize = "auto"
    compiled: bool = False
    """Whether the view is."""

    @cached_property
    def view(self) -> nn.Module:
        """The model to search with: one for all pieces, and none for an evaluation that is found complete."""
        few = self.data.subset(self.plan.block)
        options = {"precision": self.plan.precision, "batch_size": self.batch_size, "compiled": self.compiled}
        view = prepare(self.model, as_pixels(few.images), few.labels, **options)  # type: ignore[arg-type]
        if isinstance(view, BlackBoxView):
            # Searches that start from another class's picture need not look for one.
            view.pool = Pool(as_pixels(few.images), self.clean[: len(few)].argmax(1).to(few.device))
        return view

    def make(self, piece: Piece) -> Tries:
        """What comes of a piece."""
        examples = self.data.subset(piece.rows)
        return attempt(piece.attack, self.model, self.view, examples, piece.threat, seed=piece.seed)


class Crew(Protocol):
    """Others that take pieces off this process."""

    @property
    def size(self) -> int:
        """How many pieces are worked on at once."""

    def sight(self, job: Job, *, timed: bool) -> Seen:
        """What `first_sight` sees, looked at elsewhere."""

    def work(self, job: Job, chains: Sequence[Chain], parts: Parts) -> None:
        """Bring every chain to its end; what comes back is kept in `parts`."""


@dataclass(frozen=True, eq=False)
class Hands:
    """Where pieces are made: here, or by a crew that is told of them as early as they are known."""

    job: Job
    parts: Parts
    crew: Crew | None = None

    def ahead(self, chains: Sequence[Chain]) -> None:
        """What will be asked for; without a crew it can wait until then."""
        if self.crew is not None and chains:
            self.crew.work(self.job, chains, self.parts)

    def __call__(self, piece: Piece) -> Tries:
        def make() -> Tries:
            if self.crew is None:
                return self._here(piece)
            self.crew.work(self.job, [alone(piece)], self.parts)
            return self.parts.fetch(piece.name, piece.rows, lambda: self.job.make(piece))

        return self.parts.fetch(piece.name, piece.rows, make)

    def _here(self, piece: Piece) -> Tries:
        """A long one is written down now and then, and goes on where it was."""
        snapshots = self.parts.snapshots(piece.name, piece.rows)
        with kept_in(snapshots):
            return self.job.make(piece)


Work = Callable[[Piece], Tries]
"""Makes a piece, or finds on disk what came of it."""
