"""A pool as one evaluation sees it: tasks and chains of pieces go out, what comes back is kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any

from torch import nn

from robustcnn.attacks.black_box import black_box_in
from robustcnn.core.results import Finding
from robustcnn.core.runtime import DeviceName, first_line
from robustcnn.data import ResidentDataset
from robustcnn.evaluate.checks.bench import Ledger
from robustcnn.evaluate.checks.exam import Asked, Exam
from robustcnn.evaluate.checks.sitting import CHECKS, LATE
from robustcnn.evaluate.foresight import passes
from robustcnn.evaluate.judging import Tries
from robustcnn.evaluate.parts import Parts
from robustcnn.evaluate.pieces import Chain, Job, Piece, Seen
from robustcnn.fast.plain_view import beneath
from robustcnn.report.entry import Entry
from robustcnn.runs.pool.dask_pool import SOON, TRIES, DaskPool, Interrupted, Lost
from robustcnn.runs.pool.labour import Ask, Draw, Look, Make, Open, do, draw
from robustcnn.runs.pool.parcels import Parcel, Recipe, Rest, data_parcel, model_parcel, parcel
from robustcnn.runs.pool.turn import Turn

SEND = 200_000_000
"""Bytes of worst cases up to which a checklist is worked on elsewhere."""
TURNS = 1e12
"""Between the priorities of an evaluation and of the next one of the list: above what a piece may cost."""


class PiecesFailed(ValueError):
    """Some pieces failed however often they were tried; all others are kept."""


@dataclass(kw_only=True, eq=False)
class PoolCrew:
    """Of one evaluation."""

    pool: DaskPool
    turn: Turn
    recipe: Recipe
    device: DeviceName
    threads: int
    version: str
    place: int = 0
    """Of the evaluation in its list: earlier ones come first."""
    expect: Callable[[int], None]
    """Hears how many pieces more are known of."""
    done: Callable[[], None]
    """Hears of each piece that is kept."""
    _packed: dict[str, Parcel] = field(default_factory=dict)
    """All that travelled, by name."""
    _model: tuple[nn.Module, ResidentDataset, Parcel, Parcel] | None = None
    _seen: dict[tuple[str, ...], Seen] = field(default_factory=dict)
    """Of jobs by their parcels' names."""

    @property
    def size(self) -> int:
        return self.pool.size

    def sight(self, job: Job, *, timed: bool) -> Seen:
        """Once for each job: what follows the checklist need not look again."""
        parcels = self._parcels(job)
        names = tuple(each.name for each in parcels)
        if names not in self._seen:
            self._seen[names] = self._one(do, parcels, Look(timed=timed))
        return self._seen[names]

    def work(self, job: Job, chains: Sequence[Chain], parts: Parts) -> None:
        """Bring every chain to its end; a piece that fails too often is named when all others are done."""
        flow = _Flow(self, job, self._parcels(job), parts)
        for chain in chains:
            flow.begin(chain)
        flow.run()
        if flow.failed:
            raise PiecesFailed(_says(flow.failed))

    def check(self, job: Job, exam: Exam, say: Callable[[str], None]) -> tuple[Finding, ...] | None:
        """The checklist, check by check; None where too much would have to travel for it."""
        if exam.evidence is not None and exam.evidence.adversarial.nbytes > SEND:
            return None
        packed = parcel("exam", exam)
        self._packed[packed.name] = packed
        parcels = (*self._parcels(job), packed)
        ((opening, lines),) = self._all(do, parcels, [Open()])
        for line in lines:
            say(line)
        if opening.settled is None:
            return tuple(opening.findings)
        known, found = Ledger(), dict[int, Asked]()
        for numbers in ([each for each in range(len(CHECKS)) if each not in LATE], LATE):
            asked = [Ask(settled=opening.settled, number=each, known=known) for each in numbers]
            came = self._all(do, parcels, asked)
            for line in dict.fromkeys(line for _, lines in came for line in lines):
                say(line)
            for number, (each, _) in zip(numbers, came, strict=True):
                known.join(each.ledger)
                found[number] = each
        for number in range(len(CHECKS)):
            say(found[number].line)
        return (*opening.findings, *(found[number].finding for number in range(len(CHECKS))))

    def draw(self, entry: Entry, *, figures: bool) -> dict[str, bytes] | None:
        """A report's files; None where no worker draws as this process does."""
        found: dict[str, bytes] | None = self._one(draw, (), Draw(entry=entry, figures=figures))
        return found

    def close(self) -> None:
        """What travelled for this evaluation is wanted no more."""
        self.pool.forget(tuple(self._packed.values()))

    def _one(self, work: Callable[..., Any], parcels: tuple[Parcel, ...], task: object) -> Any:
        return self._all(work, parcels, [task])[0]

    def _all(self, work: Callable[..., Any], parcels: tuple[Parcel, ...], tasks: Sequence[object]) -> list[Any]:
        """What comes of tasks that others wait for, in their order."""
        left = {place: parcel("task", task).content for place, task in enumerate(tasks)}
        found = dict[int, Any]()
        with self.turn.yours():
            self.pool.ready()
        while left:
            came, era, out = SimpleQueue[Any](), self.pool.era, dict[str, tuple[Any, int]]()
            for place, content in left.items():
                future = self.pool.send(work, parcels, content, came.put, priority=SOON)
                out[future.key] = future, place
            try:
                while left:
                    future = self._next(came)
                    _, place = out[future.key]
                    found[place] = self.pool.came(future)
                    del left[place]
            except Lost:
                with self.turn.yours():
                    self.pool.regain(era)
        return [found[place] for place in sorted(found)]

    def _next(self, came: SimpleQueue[Any]) -> Any:
        with self.turn.yours():
            return self.next_of(came)

    def next_of(self, came: SimpleQueue[Any]) -> Any:
        """The next future that is done; others work meanwhile."""
        while not self.pool.stopped.is_set():
            try:
                return came.get(timeout=0.2)
            except Empty:
                self.pool.look_after()
        raise Interrupted

    def _parcels(self, job: Job) -> tuple[Parcel, Parcel, Parcel]:
        if self._model is None or self._model[0] is not beneath(job.model) or self._model[1] is not job.data:
            packed = model_parcel(job.model, self.recipe), data_parcel(job.data)
            self._model = (beneath(job.model), job.data, *packed)
        rest = Rest(
            plan=job.plan,
            clean=job.clean if job.clean.numel() and black_box_in(job.model) is not None else None,
            batch_size=job.batch_size,
            compiled=job.compiled,
            device=self.device,
            threads=self.threads,
            version=self.version,
        )
        parcels = (*self._model[2:], parcel("job", rest))
        self._packed |= {each.name: each for each in parcels}
        return parcels


@dataclass(eq=False)
class _Flow:
    """Chains under way."""

    crew: PoolCrew
    job: Job
    parcels: tuple[Parcel, ...]
    parts: Parts
    failed: list[tuple[Piece, BaseException]] = field(default_factory=list)
    came: SimpleQueue[Any] = field(default_factory=SimpleQueue)
    out: dict[str, tuple[Any, Chain, Piece]] = field(default_factory=dict)
    """By the future's key."""

    def begin(self, chain: Chain) -> None:
        self._go_on(chain, None)

    def run(self) -> None:
        while self.out:
            era = self.crew.pool.era
            with self.crew.turn.yours():
                future = self.crew.next_of(self.came)
                if future.key not in self.out:
                    continue
                _, chain, piece = self.out[future.key]
                try:
                    tries = self.crew.pool.came(future)
                except Lost:
                    tries = None
                    self.crew.pool.regain(era)
                except Interrupted:
                    raise
                except Exception as problem:  # of any kind: it is the attack's, or the model's
                    self.failed.append((piece, problem))
                    del self.out[future.key]
                    continue
            if tries is None:
                self._send_again()
                continue
            del self.out[future.key]
            self._keep(piece, tries)
            self._go_on(chain, tries)

    def _send_again(self) -> None:
        lost, self.out, self.came = list(self.out.values()), {}, SimpleQueue()
        for _, chain, piece in lost:
            self._send(chain, piece)

    def _keep(self, piece: Piece, tries: Tries) -> None:
        self.parts.keep(piece.name, piece.rows, tries)
        self.crew.done()

    def _go_on(self, chain: Chain, tries: Tries | None) -> None:
        """To the next piece of the chain that has no file."""
        try:
            piece = next(chain) if tries is None else chain.send(tries)
            while (found := self.parts.find(piece.name, piece.rows)) is not None:
                piece = chain.send(found)
        except StopIteration:
            return
        self.crew.expect(1)
        self._send(chain, piece)

    def _send(self, chain: Chain, piece: Piece) -> None:
        folder = self.parts.folder
        task = Make(piece=piece, folder=folder and folder.absolute(), plan=self.parts.plan)
        asked, order = parcel("task", task).content, self._cost(piece) - TURNS * self.crew.place
        future = self.crew.pool.send(do, self.parcels, asked, self.came.put, priority=order)
        self.out[future.key] = (future, chain, piece)

    def _cost(self, piece: Piece) -> float:
        """What is long, and what much waits for, begins first."""
        return passes(piece.attack, self.job.data.spec.num_classes, piece.threat) * len(piece.rows) * piece.left


def _says(failed: Sequence[tuple[Piece, BaseException]]) -> str:
    piece, problem = failed[0]
    more = f", and {len(failed) - 1} more" if len(failed) > 1 else ""
    count = f"{len(failed)} piece{'s' if len(failed) > 1 else ''}"
    return (
        f"{count} failed {TRIES} times: {piece.name} ({piece.attack!r} in {piece.threat}){more}: "
        f"{type(problem).__name__}: {first_line(problem)[:300]} (all others are kept; the same command tries again)"
    )
