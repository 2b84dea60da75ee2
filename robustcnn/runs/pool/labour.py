"""What a worker does: it unpacks a job once, then does its tasks, one after the other."""

from __future__ import annotations

import contextlib
import pickle
import platform
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import nn

import robustcnn
from robustcnn.core.runtime import evaluating, exact_float32, pick_device, to_evaluation
from robustcnn.core.snapshots import kept_in
from robustcnn.data import ResidentDataset
from robustcnn.evaluate.checks.bench import Ledger
from robustcnn.evaluate.checks.exam import Asked, Exam
from robustcnn.evaluate.checks.opening import Opening, opened
from robustcnn.evaluate.checks.sitting import Sitting, seated
from robustcnn.evaluate.first_sight import sight
from robustcnn.evaluate.judging import Tries
from robustcnn.evaluate.parts import sees, snapshots_in
from robustcnn.evaluate.pieces import Job, Piece, Seen
from robustcnn.evaluate.plan import fingerprint
from robustcnn.fast.plain_view import plain_view
from robustcnn.report.entry import Entry
from robustcnn.report.pages import files_of
from robustcnn.runs.find_model import find
from robustcnn.runs.pool.parcels import Parcel, Recipe, Rest

KEPT = 4
"""Jobs that a worker keeps unpacked."""
T = TypeVar("T")


def versions() -> dict[str, str]:
    """What has to be the same everywhere, and what had better be."""
    return {
        "robustcnn": robustcnn.__version__,
        "torch": torch.__version__,
        "python": ".".join(platform.python_version_tuple()[:2]),
    }


def same(parcel: Parcel) -> Parcel:
    """A parcel that is a task of its own is sent to a worker once, and made again where a worker is lost."""
    return parcel


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """The first sight of a model."""

    timed: bool

    def __call__(self, job: Job) -> Seen:
        return sight(job, timed=self.timed)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Make:
    """One piece, as it would be made by one process."""

    piece: Piece
    folder: Path | None = None
    """Of the evaluation's pieces, where it was started."""
    plan: str = ""

    def __call__(self, job: Job) -> Tries:
        """Written down now and then where the folder is seen, so that a worker's death costs seconds."""
        name, rows = self.piece.name, self.piece.rows
        seen = self.folder is not None and sees(self.folder, self.plan)
        with kept_in(snapshots_in(self.folder, self.plan, name, rows) if self.folder and seen else None):
            return job.make(self.piece)


@dataclass(frozen=True, kw_only=True, slots=True)
class Open:
    """The first part of the checklist, and what it said."""

    @torch.enable_grad()
    def __call__(self, job: Job, exam: Parcel) -> tuple[Opening, list[str]]:
        lines: list[str] = []
        asked: Exam = pickle.loads(exam.content)  # noqa: S301
        return opened(asked, job.model, job.data, lambda each: lines.append(each.line)), lines


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Ask:
    """One check; what all have in common is worked out for the first that a worker is given."""

    settled: bool
    number: int
    known: Ledger

    @torch.enable_grad()
    def __call__(self, job: Job, exam: Parcel) -> tuple[Asked, tuple[str, ...]]:
        def make() -> tuple[Job, Sitting, tuple[str, ...]]:
            lines: list[str] = []
            asked: Exam = pickle.loads(exam.content)  # noqa: S301
            return job, seated(asked, job.model, job.data, self.settled, lines.append), tuple(lines)

        _, sitting, lines = _SITTINGS.get((str(id(job)), exam.name, str(self.settled)), make)
        return sitting.ask(self.number, self.known), lines


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Draw:
    """A report's pages and pictures by name; nothing where they would look otherwise."""

    entry: Entry
    figures: bool
    matplotlib: str = field(default_factory=lambda: version("matplotlib"))
    """The version at home: another may draw other bytes."""

    def __call__(self) -> dict[str, bytes] | None:
        if version("matplotlib") != self.matplotlib:
            return None
        return files_of(self.entry, figures=self.figures)


def do(model: Parcel, data: Parcel, rest: Parcel, *more: Any) -> Any:
    """A task about a job, as bytes, after the parcels that it needs besides."""
    *others, asked = more
    # Of our own scheduler, which may run anything here anyway.
    task: Callable[..., Any] = pickle.loads(asked)  # noqa: S301
    job = _JOBS.get((model.name, data.name, rest.name), lambda: _unpack(model, data, rest))
    with torch.no_grad(), evaluating(job.model), exact_float32():
        return task(job, *others)


def draw(asked: bytes) -> dict[str, bytes] | None:
    """A task that needs no job."""
    task: Draw = pickle.loads(asked)  # noqa: S301
    return task()


class _Shelf(Generic[T]):
    """The last few things that were unpacked, by name."""

    def __init__(self) -> None:
        self._things: OrderedDict[tuple[str, ...], T] = OrderedDict()

    def get(self, names: tuple[str, ...], make: Callable[[], T]) -> T:
        if names not in self._things:
            self._things[names] = make()
        self._things.move_to_end(names)
        while len(self._things) > KEPT:
            self._things.popitem(last=False)
        return self._things[names]


_JOBS = _Shelf[Job]()
_SITTINGS = _Shelf[tuple[Job, Sitting, tuple[str, ...]]]()
"""With the job, so that no other has its identity meanwhile."""


def _unpack(model: Parcel, data: Parcel, rest: Parcel) -> Job:
    small: Rest = pickle.loads(rest.content)  # noqa: S301
    if small.version != robustcnn.__version__:
        raise ValueError(
            f"the worker on {platform.node()} has robustcnn {robustcnn.__version__}, the list was started with "
            f"{small.version} (install the same everywhere)"
        )
    torch.set_num_threads(small.threads)
    device = pick_device(small.device)
    found: nn.Module | Recipe = pickle.loads(model.content)  # noqa: S301
    examples: ResidentDataset = pickle.loads(data.content)  # noqa: S301
    victim = cooked(found) if isinstance(found, Recipe) else found
    job = Job(
        model=plain_view(to_evaluation(victim).to(device)),
        data=examples.to(device),
        plan=small.plan,
        batch_size=small.batch_size,
        compiled=small.compiled,
    )
    return job if small.clean is None else replace(job, clean=small.clean)


def cooked(recipe: Recipe) -> nn.Module:
    """The model that a name leads to, where the files are that it needs."""
    where = f"{recipe.text} travels by its name, and the worker on {platform.node()}"
    if not recipe.place.is_dir():
        raise ValueError(f"{where} does not see the folder {recipe.place} (share it with all workers)")
    with contextlib.chdir(recipe.place):
        try:
            model = find(recipe.text, recipe.runs, which=recipe.which, source=recipe.source).model
        except (OSError, ValueError) as problem:
            raise ValueError(f"{where} cannot find it there: {problem} (is {recipe.place} shared?)") from None
    if fingerprint(model) != recipe.print:
        raise ValueError(f"{where} finds other weights under it (is {recipe.place} the same folder there?)")
    return model
