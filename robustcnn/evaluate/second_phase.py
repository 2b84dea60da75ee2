"""What follows the listed attacks: AutoAttack on all that stands where a cheap one is doubted, or on a random part.

A sentinel is drawn from what stands in the whole set, and its pieces are kept like all others: how the work is cut up,
or interrupted, changes neither who is drawn nor what is decided.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor, nn

from robustcnn.attacks.base import Attack
from robustcnn.attacks.ensemble import AutoAttack
from robustcnn.attacks.swift import LEAST, Seen, Sentinel, Swift, answers_vary, takeover
from robustcnn.core.audited import Audited
from robustcnn.core.broken_by import BrokenBy
from robustcnn.core.losses import is_right, margin
from robustcnn.core.runtime import seeded
from robustcnn.core.threat import ThreatModel
from robustcnn.data import ResidentDataset
from robustcnn.data.resident import as_pixels
from robustcnn.evaluate.audit import AuditConfig, audited
from robustcnn.evaluate.pieces import Chain, Piece, Work, alone
from robustcnn.evaluate.plan import Plan
from robustcnn.evaluate.standings import Against, WorstCase

Say = Callable[[str], None]


class Escalation(NamedTuple):
    """AutoAttack on all that a cheap attack, or the sentinel, left."""

    why: str
    attack: Attack
    against: Against
    seconds: float


class Second(NamedTuple):
    """What came of one ball's second phase."""

    escalation: Escalation | None = None
    audit: Audited | None = None
    seconds: float = 0.0
    """Of the sentinel."""
    hits: int = 0
    """Examples that the sentinel broke without raising doubt."""


@dataclass(kw_only=True, slots=False)
class SecondPhase:
    """Of one evaluation; balls of a norm come with growing eps."""

    model: nn.Module
    data: ResidentDataset
    plan: Plan
    work: Work
    ahead: Callable[[Sequence[Chain]], None]
    """Hears of pieces as early as it is known that they will be needed."""
    together: int
    """Pieces that are worked on at once."""
    blocks: Sequence[Tensor]
    audit: AuditConfig
    doubt: str
    """A reason to escalate that is known beforehand, such as a warning of the checklist; empty for none."""
    spared: Callable[[ThreatModel], Tensor]
    """Which examples (N,) are proven in a ball, and need no attack."""
    say: Say

    def begin(self, norm: str) -> None:
        """The balls of another norm follow."""
        self.norm, self.reason, self.before = norm, self.doubt if self.swift else "", list[Against]()

    @property
    def swift(self) -> Swift | None:
        """The cheap attack of the list that asks for a second phase, if any."""
        return next((each for each in self.plan.attacks if isinstance(each, Swift) and each.watches_itself), None)

    @cached_property
    def autoattack(self) -> AutoAttack:
        return AutoAttack(version="rand") if self._varies else AutoAttack()

    def takeover(self, threat: ThreatModel) -> Attack:
        """What an escalation does."""
        return self.autoattack if self._varies else takeover(threat)

    @cached_property
    def _varies(self) -> bool:
        few = self.data.subset(min(len(self.data), 64))
        return answers_vary(self.model, as_pixels(few.images))

    def __call__(self, threat: ThreatModel, worst: WorstCase) -> Second:
        seconds = 0.0
        if self.swift and not self.reason:
            if self._varies:
                self.reason = "the model does not answer twice alike"
            elif self.swift.sentinel:
                seconds = self._watched(self.swift, threat, worst)
        if self.reason:
            self.say(f"{threat}: AutoAttack takes over: {self.reason}")
            return Second(escalation=self._escalated(threat, worst), seconds=seconds)
        # The few that are no reason for doubt count as the last attack's.
        few = worst.broken_by == len(self.plan.attacks)
        worst.broken_by[few] = len(self.plan.attacks) - 1
        audit = self._audited(threat, worst) if self.audit else None
        return Second(audit=audit, seconds=seconds, hits=int(few.sum()))

    def _watched(self, swift: Swift, threat: ThreatModel, worst: WorstCase) -> float:
        # How near the ascents came: a sentinel leaves its own tries behind.
        seconds, near = 0.0, self._margins(worst.logits)
        for number, sentinel in enumerate(swift.sentinels(threat)):
            seed = self.plan.seed_of(sentinel.attack, threat, -1 - number)
            standing = self._undecided(threat, worst)
            if sentinel.share:
                count = max(math.ceil(sentinel.share * len(standing)), LEAST)
                order = near[standing].argsort(descending=True, stable=True)[:count]
            else:
                order = torch.randperm(len(standing), generator=seeded(seed))[: swift.sentinel]
            rows = standing[order.sort().values]
            name = f"sentinel-{number}-{_place(threat)}"
            piece = Piece(name=name, attack=sentinel.attack, threat=threat, rows=rows, seed=seed)
            seconds += self._watch(sentinel, piece, near[rows], worst)
        return seconds

    def _watch(self, sentinel: Sentinel, piece: Piece, before: Tensor, worst: WorstCase) -> float:
        against, rows = Against.going_on(worst, self.data.labels.cpu()), piece.rows
        seconds = self._attack(piece, against) if len(rows) else 0.0
        clean, after = (self._margins(logits)[rows] for logits in (worst.clean_logits, against.logits))
        seen = Seen.of(against.broken[rows], clean, before, after)
        worst.take(len(self.plan.attacks), against)
        self.reason = self.reason or sentinel.doubt(seen, len(self.data))
        return seconds

    def _margins(self, logits: Tensor) -> Tensor:
        return margin(logits, self.data.labels.cpu())

    def _escalated(self, threat: ThreatModel, worst: WorstCase) -> Escalation:
        against, seconds = Against.going_on(worst, self.data.labels.cpu()), 0.0
        for smaller in self.before:
            against.inherit(smaller)
        spared = self.spared(threat)
        left = [rows[~(against.broken | spared)[rows]] for rows in self.blocks]
        pieces = [self._again(f"escalated-{_place(threat)}", index, threat, rows) for index, rows in enumerate(left)]
        pieces = [each for each in pieces if len(each.rows)]
        self.ahead([alone(each) for each in pieces])
        for each in pieces:
            seconds += self._attack(each, against)
        self.before = [against]
        worst.take(len(self.plan.attacks), against)
        return Escalation(self.reason, self.takeover(threat), against, seconds)

    def _attack(self, piece: Piece, against: Against) -> float:
        tries = self.work(piece)
        against.take(piece.rows, tries)
        return tries.seconds

    def _again(self, name: str, index: int, threat: ThreatModel, rows: Tensor) -> Piece:
        """AutoAttack on what a cheaper one left."""
        escalates = name.startswith("escalated")
        attack = self.takeover(threat) if escalates else self.autoattack
        number = index if escalates else -2 - index
        seed = self.plan.seed_of(attack, threat, number)
        return Piece(name=f"{name}-{index:05d}", attack=attack, threat=threat, rows=rows, seed=seed)

    def _audited(self, threat: ThreatModel, worst: WorstCase) -> Audited:
        labels = self.data.labels.cpu()

        def piece(batch: int, rows: Tensor) -> Piece:
            return self._again(f"audit-{_place(threat)}", batch, threat, rows)

        def attack(batch: int, rows: Tensor) -> int:
            tries = self.work(piece(batch, rows))
            return int((~is_right(tries.logits, labels[rows])).sum())

        undecided = self._undecided(threat, worst)
        found = audited(
            undecided,
            len(labels),
            self.audit,
            seed=self.plan.seed_of(self.autoattack, threat, -1),
            attack=attack,
            proven=int((worst.broken_by == BrokenBy.STANDING).sum()) - len(undecided),
            ahead=lambda batches: self.ahead([alone(piece(*batch)) for batch in batches]),
            together=self.together,
        )
        self.say(f"{threat}: {found}")
        return found

    def _undecided(self, threat: ThreatModel, worst: WorstCase) -> Tensor:
        """Rows that stand and are not proven."""
        return ((worst.broken_by == BrokenBy.STANDING) & ~self.spared(threat)).nonzero().flatten()


def _place(threat: ThreatModel) -> str:
    return f"{threat.norm}-{threat.eps:.9g}"
