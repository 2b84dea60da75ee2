"""A pool as one evaluation sees it: chains of pieces go out, tries come back and are kept."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from queue import Empty, SimpleQueue
from typing import Any

import torch
from torch import nn

from robustcnn.core.results import Finding
from robustcnn.core.runtime import DeviceName, Precision, first_line
from robustcnn.data import ResidentDataset
from robustcnn.evaluate import Evidence, Plan
from robustcnn.evaluate.judging import Tries
from robustcnn.evaluate.parts import Parts
from robustcnn.evaluate.pieces import Chain, Job, Piece
from robustcnn.runs.pool.dask_pool import TRIES, DaskPool, Interrupted, Lost
from robustcnn.runs.pool.labour import Checking, check, make
from robustcnn.runs.pool.parcels import Parcel, Recipe, Rest, job_parcels, parcel
from robustcnn.runs.pool.turn import Turn

SEND = 200_000_000
"""Bytes of worst cases up to which a checklist is worked on elsewhere."""


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
    expect: Callable[[int], None]
    """Hears how many pieces more are known of."""
    done: Callable[[], None]
    """Hears of each piece that is kept."""
    _parcels: tuple[Parcel, ...] = ()
    _job: Job | None = None
    _seen: set[str] = field(default_factory=set)

    @property
    def size(self) -> int:
        return self.pool.size

    def work(self, job: Job, chains: Sequence[Chain], parts: Parts) -> None:
        """Bring every chain to its end; a piece that fails too often is named when all others are done."""
        flow = _Flow(self, self._packed(job), parts)
        for chain in chains:
            flow.begin(chain)
        flow.run()
        if flow.failed:
            raise PiecesFailed(_says(flow.failed))

    def check(
        self, model: nn.Module, data: ResidentDataset, plan: Plan, evidence: Evidence, seed: int, precision: Precision
    ) -> tuple[tuple[Finding, ...], list[str]] | None:
        """The checklist; None where too much would have to travel for it."""
        if evidence.adversarial.nbytes > SEND:
            return None
        bare = replace(evidence, images=torch.empty(0))
        asked = pickle.dumps(Checking(evidence=bare, seed=seed, precision=precision))
        job = Job(model=model, data=data, plan=plan, clean=evidence.clean_logits)
        found: tuple[tuple[Finding, ...], list[str]] = self._one(check, self._packed(job), asked)
        return found

    def close(self) -> None:
        """What travelled for this evaluation is wanted no more."""
        self.pool.forget(self._parcels)

    def _one(self, work: Callable[..., Any], parcels: tuple[Parcel, ...], asked: bytes) -> Any:
        while True:
            came, era = SimpleQueue[Any](), self.pool.era
            self.pool.send(work, parcels, asked, came.put)
            try:
                return self.wait(came)
            except Lost:
                with self.turn.yours():
                    self.pool.regain(era)

    def wait(self, came: SimpleQueue[Any]) -> Any:
        with self.turn.yours():
            return self.pool.came(self.next_of(came))

    def next_of(self, came: SimpleQueue[Any]) -> Any:
        """The next future that is done; others work meanwhile."""
        while not self.pool.stopped.is_set():
            try:
                return came.get(timeout=0.2)
            except Empty:
                continue
        raise Interrupted

    def _packed(self, job: Job) -> tuple[Parcel, ...]:
        if self._job is None or self._job.model is not job.model:
            rest = Rest(
                plan=job.plan,
                clean=job.clean,
                batch_size=job.batch_size,
                compiled=job.compiled,
                device=self.device,
                threads=self.threads,
                version=self.version,
            )
            self._job, self._parcels = job, job_parcels(job, self.recipe, rest)
        return self._parcels


@dataclass(eq=False)
class _Flow:
    """Chains under way."""

    crew: PoolCrew
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
        asked = parcel("piece", piece).content
        future = self.crew.pool.send(make, self.parcels, asked, self.came.put)
        self.out[future.key] = (future, chain, piece)


def _says(failed: Sequence[tuple[Piece, BaseException]]) -> str:
    piece, problem = failed[0]
    more = f", and {len(failed) - 1} more" if len(failed) > 1 else ""
    count = f"{len(failed)} piece{'s' if len(failed) > 1 else ''}"
    return (
        f"{count} failed {TRIES} times: {piece.name} ({piece.attack!r} in {piece.threat}){more}: "
        f"{type(problem).__name__}: {first_line(problem)[:300]} (all others are kept; the same command tries again)"
    )
