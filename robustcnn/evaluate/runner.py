"""All attacks on all examples: norm by norm, attack by attack, in growing balls."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor
from tqdm import tqdm

from robustcnn.attacks.base import Attack
from robustcnn.attacks.swift import Swift
from robustcnn.core.broken_by import BrokenBy
from robustcnn.core.losses import is_right
from robustcnn.core.norms import NORMS
from robustcnn.core.progress import Listener, every, listening
from robustcnn.core.queries import Queries
from robustcnn.core.results import AttackScore, Share, ThreatScore
from robustcnn.core.roomy import SCATTERED, filled, rest, slices
from robustcnn.core.threat import ThreatModel
from robustcnn.data.resident import as_pixels
from robustcnn.evaluate.audit import AuditConfig
from robustcnn.evaluate.judging import Tries
from robustcnn.evaluate.metrics import metrics
from robustcnn.evaluate.pieces import Chain, Hands, Piece
from robustcnn.evaluate.proofs import Proofs
from robustcnn.evaluate.second_phase import Second, SecondPhase
from robustcnn.evaluate.standings import Against, Evidence, WorstCase


@dataclass(frozen=True, kw_only=True, slots=True)
class After:
    """What follows the listed attacks."""

    audit: AuditConfig = field(default_factory=AuditConfig)
    doubt: str = ""
    """Why AutoAttack has to follow a cheap suite in any case; empty for none."""


SPOKEN, LOGGED = 0.5, 15.0
"""Seconds between two words on the progress: on a terminal, in a log."""
CURVE_POINTS = 50
"""At most, of the accuracy over questions."""
Say = Callable[[str], None]
ESCALATED = "AutoAttack() after all others"
"""Who is to blame for what stood until a cheap suite was doubted."""


class Trial:
    """The work of one evaluation."""

    def __init__(self, hands: Hands, after: After) -> None:
        self.proofs: Proofs = {}
        """What need not be attacked."""
        self.hands, self.after, job = hands, after, hands.job
        self.model, self.data, self.plan, self.clean = job.model, job.data, job.plan, job.clean
        self.listener: Callable[[], Listener | None] = lambda: None
        self.folder, self.labels = hands.parts.folder, self.data.labels.cpu()
        stored = self.data.images
        self.images = filled(stored.shape, lambda rows: as_pixels(stored[rows]).cpu(), self.folder)
        self.blocks = torch.arange(len(self.data)).split(self.plan.block)
        self.units = len(self.plan.attacks) * len(self.plan.threats) * len(self.blocks)

    def run(self, bar: tqdm, say: Say) -> Iterator[tuple[ThreatScore, Evidence]]:
        def told(line: str) -> None:
            with bar.external_write_mode():
                say(line)

        bar.total += self.units
        # On a terminal behind the bar; in a log a plain line now and then.
        self.listener = lambda: every(LOGGED, told) if bar.disable else every(SPOKEN, bar.set_postfix_str)
        second = SecondPhase(
            model=self.model,
            data=self.data,
            plan=self.plan,
            work=self._work,
            ahead=self.hands.ahead,
            together=1 if self.hands.crew is None else self.hands.crew.size,
            blocks=self.blocks,
            audit=self.after.audit,
            doubt=self.after.doubt,
            spared=self._spared,
            say=told,
        )
        self.hands.ahead(self._chains())
        for balls in self.plan.balls:
            second.begin(balls[0].norm)
            worst = {threat: WorstCase(self.images, self.labels, self.clean, self.folder) for threat in balls}
            scores: dict[ThreatModel, list[AttackScore]] = {threat: [] for threat in balls}
            for number, attack in enumerate(self.plan.attacks):
                against = Against(self.images, self.labels, self.clean, self.folder)
                for threat in balls:
                    seconds = self._enlarge(against, number, threat, bar)
                    first = worst[threat].take(number, against)
                    scores[threat].append(self._score(against, attack, first, seconds))
                    stand = scores[threat][-1].metrics.accuracy
                    told(f"{attack!r}  {threat}   {stand} stand   {seconds:.1f} s")
            for threat in balls:
                yield self._concluded(threat, worst[threat], scores[threat], second(threat, worst[threat]))

    def _concluded(
        self, threat: ThreatModel, worst: WorstCase, scores: Sequence[AttackScore], second: Second
    ) -> tuple[ThreatScore, Evidence]:
        *others, last = scores
        scores = [*others, replace(last, first=last.first + second.hits, seconds=last.seconds + second.seconds)]
        escalation = second.escalation
        if escalation:
            first = int((worst.broken_by == len(self.plan.attacks)).sum())
            scores.append(self._score(escalation.against, escalation.attack, first, escalation.seconds))
        score = ThreatScore(
            norm=threat.norm,
            eps=threat.eps,
            robust=Share.of(int((worst.broken_by == BrokenBy.STANDING).sum()), len(self.labels)),
            worst=metrics(worst.logits, self.labels, self.data.classes),
            attacks=tuple(scores),
            escalated=escalation.why if escalation else "",
            audit=second.audit,
        )
        return score, self._evidence(threat, worst, escalated=bool(escalation))

    def _enlarge(self, against: Against, number: int, threat: ThreatModel, bar: tqdm) -> float:
        """Attack what stands against the attack until now; the seconds it took."""
        seconds, spared = 0.0, self._spared(threat)
        for block, rows in enumerate(self.blocks):
            standing = rows[~(against.broken | spared)[rows]]
            if len(standing):
                tries = self._work(self._piece(number, threat, block, standing))
                against.take(standing, tries)
                seconds += tries.seconds
            bar.update()
        return seconds

    def _chains(self) -> list[Chain]:
        """All of the first phase, for a crew: an attack's balls follow each other, all else is free."""
        numbers, blocks = range(len(self.plan.attacks)), range(len(self.blocks))
        return [self._chain(balls, each, block) for balls in self.plan.balls for each in numbers for block in blocks]

    def _chain(self, balls: Sequence[ThreatModel], number: int, block: int) -> Chain:
        rows = self.blocks[block]
        broken = ~is_right(self.clean[rows], self.labels[rows])
        for left, threat in zip(range(len(balls), 0, -1), balls, strict=True):
            standing = ~(broken | self._spared(threat)[rows])
            if standing.any():
                tries = yield replace(self._piece(number, threat, block, rows[standing]), left=left)
                broken[standing] |= ~is_right(tries.logits, self.labels[rows[standing]])

    def _spared(self, threat: ThreatModel) -> Tensor:
        proven = self.proofs.get(threat)
        return torch.zeros(len(self.labels), dtype=torch.bool) if proven is None else proven.spared

    def _piece(self, number: int, threat: ThreatModel, block: int, rows: Tensor) -> Piece:
        attack = self.plan.attacks[number]
        seed = self.plan.seed_of(attack, threat, block)
        name = f"{number:02d}-{threat.norm}-{threat.eps:.9g}-{block:05d}"
        # Whether AutoAttack has to take over is decided once for all blocks.
        attack = attack.cheap if isinstance(attack, Swift) else attack
        return Piece(name=name, attack=attack, threat=threat, rows=rows, seed=seed)

    def _work(self, piece: Piece) -> Tries:
        with listening(self.listener()):
            return self.hands(piece)

    def _score(self, against: Against, attack: Attack, first: int, seconds: float) -> AttackScore:
        success = against.success
        return AttackScore(
            attack=repr(attack),
            metrics=metrics(against.logits, self.labels, self.data.classes),
            first=first,
            kept_as_bytes=Share.of(int(against.kept.sum()), int(success.sum())),
            distances=_medians(against.images, self.images, success.nonzero().flatten()),
            seconds=seconds,
            queries=None if against.queries is None else _cost(against.queries, self.clean, self.labels),
        )

    def _evidence(self, threat: ThreatModel, worst: WorstCase, *, escalated: bool) -> Evidence:
        return Evidence(
            threat=threat,
            images=self.images,
            adversarial=worst.images,
            labels=self.labels,
            clean_logits=self.clean,
            logits=worst.logits,
            broken_by=worst.broken_by,
            attacks=(*map(repr, self.plan.attacks), *([ESCALATED] if escalated else [])),
        )


def _cost(queries: Tensor, clean: Tensor, labels: Tensor) -> Queries:
    """What successes cost, and the robust accuracy that so many questions an image leave."""
    took = queries[queries > 0].sort().values
    right = int(is_right(clean, labels).sum())
    points = took.unique()
    if len(points) > CURVE_POINTS:
        points = points[torch.linspace(0, len(points) - 1, CURVE_POINTS).round().long()]
    curve = [(0, right / len(labels))]
    curve += [(int(point), (right - int((took <= point).sum())) / len(labels)) for point in points]
    return Queries(
        median=float(took.double().quantile(0.5)) if len(took) else None,
        total=int(queries.abs().sum()),
        curve=tuple(curve),
    )


def _medians(found: Tensor, originals: Tensor, rows: Tensor) -> dict[str, float]:
    if not len(rows):
        return {}
    lengths = torch.empty(len(NORMS), len(rows), dtype=torch.float64)
    for each in slices(len(rows), SCATTERED):
        change = found[rows[each]] - originals[rows[each]]
        for length, norm in zip(lengths, NORMS.values(), strict=True):
            length[each] = norm.length(change).flatten()
        rest(found)
        rest(originals)
    return {name: float(length.quantile(0.5)) for name, length in zip(NORMS, lengths, strict=True)}
