"""All attacks on all examples: norm by norm, attack by attack, in growing balls."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor, nn
from tqdm import tqdm

from robustcnn.attacks.base import Attack
from robustcnn.attacks.black_box import BlackBoxView, Pool
from robustcnn.attacks.craft import prepare
from robustcnn.attacks.swift import Swift
from robustcnn.core.broken_by import BrokenBy
from robustcnn.core.losses import is_right
from robustcnn.core.norms import NORMS
from robustcnn.core.progress import Listener, every, listening
from robustcnn.core.queries import Queries
from robustcnn.core.results import AttackScore, Share, ThreatScore
from robustcnn.core.threat import ThreatModel
from robustcnn.data import ResidentDataset
from robustcnn.data.resident import as_pixels
from robustcnn.evaluate.audit import AuditConfig
from robustcnn.evaluate.judging import Tries, attempt
from robustcnn.evaluate.metrics import metrics
from robustcnn.evaluate.parts import Parts
from robustcnn.evaluate.plan import Plan
from robustcnn.evaluate.proofs import Proofs
from robustcnn.evaluate.second_phase import Second, SecondPhase
from robustcnn.evaluate.standings import Against, Evidence, WorstCase


@dataclass(frozen=True, kw_only=True, slots=True)
class After:
    """What follows the listed attacks."""

    audit: AuditConfig = field(default_factory=AuditConfig)
    doubt: str = ""
    """Why AutoAttack has to follow a cheap suite in any case; empty for none."""


BatchSize = int | Literal["auto"]
SPOKEN, LOGGED = 0.5, 15.0
"""Seconds between two words on the progress: on a terminal, in a log."""
CURVE_POINTS = 50
"""At most, of the accuracy over questions."""
Say = Callable[[str], None]
ESCALATED = "AutoAttack() after all others"
"""Who is to blame for what stood until a cheap suite was doubted."""


class Trial:
    """The work of one evaluation."""

    def __init__(
        self,
        model: nn.Module,
        data: ResidentDataset,
        plan: Plan,
        clean: Tensor,
        parts: Parts,
        batch_size: BatchSize,
        after: After,
    ) -> None:
        self.proofs: Proofs = {}
        """What need not be attacked."""
        self.model, self.data, self.plan, self.parts, self.batch_size = model, data, plan, parts, batch_size
        self.after = after
        self.listener: Callable[[], Listener | None] = lambda: None
        self.images, self.labels, self.clean = as_pixels(data.images).cpu(), data.labels.cpu(), clean
        self.blocks = torch.arange(len(data)).split(plan.block)
        self.units = len(plan.attacks) * len(plan.threats) * len(self.blocks)

    @cached_property
    def view(self) -> nn.Module:
        """One for all attacks, and none for an evaluation that is found complete."""
        few = self.data.subset(self.plan.block)
        options = {"precision": self.plan.precision, "batch_size": self.batch_size}
        view = prepare(self.model, as_pixels(few.images), few.labels, **options)  # type: ignore[arg-type]
        if isinstance(view, BlackBoxView):
            # Searches that start from another class's picture need not look for one.
            view.pool = Pool(as_pixels(few.images), self.clean[: len(few)].argmax(1).to(few.device))
        return view

    def run(self, bar: tqdm, say: Say) -> Iterator[tuple[ThreatScore, Evidence]]:
        def told(line: str) -> None:
            with bar.external_write_mode():
                say(line)

        # On a terminal behind the bar; in a log a plain line now and then.
        self.listener = lambda: every(LOGGED, told) if bar.disable else every(SPOKEN, bar.set_postfix_str)
        second = SecondPhase(
            model=self.model,
            data=self.data,
            plan=self.plan,
            piece=self._piece,
            blocks=self.blocks,
            audit=self.after.audit,
            doubt=self.after.doubt,
            say=told,
        )
        for balls in self.plan.balls:
            second.begin(balls[0].norm)
            worst = {threat: WorstCase(self.images, self.labels, self.clean) for threat in balls}
            scores: dict[ThreatModel, list[AttackScore]] = {threat: [] for threat in balls}
            for number, attack in enumerate(self.plan.attacks):
                against = Against(self.images, self.labels, self.clean)
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
        scores = [*others, replace(last, seconds=last.seconds + second.seconds)]
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
        seconds = 0.0
        spared = self.proofs[threat].spared if threat in self.proofs else torch.zeros_like(against.broken)
        for block, rows in enumerate(self.blocks):
            standing = rows[~(against.broken | spared)[rows]]
            if len(standing):
                tries = self._tries(number, threat, block, standing)
                against.take(standing, tries)
                seconds += tries.seconds
            bar.update()
        return seconds

    def _tries(self, number: int, threat: ThreatModel, block: int, rows: Tensor) -> Tries:
        attack = self.plan.attacks[number]
        seed = self.plan.seed_of(attack, threat, block)
        name = f"{number:02d}-{threat.norm}-{threat.eps:.9g}-{block:05d}"
        # Whether AutoAttack has to take over is decided once for all blocks.
        return self._piece(name, attack.cheap if isinstance(attack, Swift) else attack, threat, rows, seed=seed)

    def _piece(self, name: str, attack: Attack, threat: ThreatModel, rows: Tensor, *, seed: int) -> Tries:
        with listening(self.listener()):
            return self.parts.fetch(
                name,
                rows,
                lambda: attempt(attack, self.model, self.view, self.data.subset(rows), threat, seed=seed),
            )

    def _score(self, against: Against, attack: Attack, first: int, seconds: float) -> AttackScore:
        success = against.success
        return AttackScore(
            attack=repr(attack),
            metrics=metrics(against.logits, self.labels, self.data.classes),
            first=first,
            kept_as_bytes=Share.of(int(against.kept.sum()), int(success.sum())),
            distances=_medians(against.images[success], self.images[success]),
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


def _medians(found: Tensor, originals: Tensor) -> dict[str, float]:
    if not len(found):
        return {}
    lengths = {name: norm.length(found - originals).flatten().double() for name, norm in NORMS.items()}
    return {norm: float(length.quantile(0.5)) for norm, length in lengths.items()}
