"""What the checks share: a model, some examples, a threat, and how the examples fare under an attack."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from torch import Tensor, nn

from robustcnn.attacks import APGD, PGD, Attack, WorstOf, craft
from robustcnn.core.broken_by import BrokenBy
from robustcnn.core.losses import is_right, margin
from robustcnn.core.results import Finding, Share, Verdict
from robustcnn.core.runtime import seeded
from robustcnn.core.threat import ThreatModel
from robustcnn.data import ResidentDataset
from robustcnn.evaluate.checks.counts import OnTop, surely_wrong
from robustcnn.evaluate.predict import predict
from robustcnn.evaluate.standings import Evidence

SURELY = 8
"""Times as many draws, where a rival's success is to be confirmed ..."""
LONGER = 4
"""... and times as many again where these do not settle it."""
STEPS = 20
"""Of the plain white-box attack."""
TRIED = 64
"""Examples, the nearest to the boundary, that each rival is tried on first; the rest where any of them fell."""
FEW = 0.01
"""What may happen to a share of the examples without being the model's fault."""
MASKED = (
    "the gradient does not show the way, and white-box figures are too good; report the worst case with black-box "
    "attacks (Square, AutoAttack) and attacks on a smooth copy, and look for steps, random numbers or saturation"
)
WEAK = (
    "the attack has not converged; take more steps, restarts and targets, or AutoAttack, before you believe the figure"
)


@dataclass(kw_only=True)
class Ledger:
    """What rivals broke beyond the white box: by row, who was first, and with which image."""

    found: dict[int, tuple[str, Tensor]] = field(default_factory=dict)

    def note(self, check: str, rows: Tensor, images: Tensor) -> None:
        for row, image in zip(rows.tolist(), images, strict=True):
            self.found.setdefault(row, (check, image))

    def join(self, later: Ledger) -> None:
        """What a later check broke first of all."""
        for row, what in later.found.items():
            self.found.setdefault(row, what)


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Victim, examples and threat of one series of checks; every attack is judged by the victim itself."""

    model: nn.Module
    view: nn.Module
    """To search with."""
    surrogate: nn.Module
    """Another model of the same pictures."""
    data: ResidentDataset
    """Float pixels."""
    threat: ThreatModel
    draws: int = 1
    """Looks at the model whose mean counts; more than 1 for models that draw random numbers."""
    seed: int = 0
    evidence: Evidence | None = None
    """What an evaluation of these examples found in this ball; it takes the place of the white box."""
    ledger: Ledger = field(default_factory=Ledger)

    @property
    def white_box(self) -> PGD | APGD:
        """The plain attack; its loss is not rounded away where a model is sure of itself."""
        # To stop at the first success on a random model is to stop at a lucky draw.
        stop = self.draws == 1
        if self.threat.sparse:
            # Steps of a fixed size, a few pixels each, would take hundreds and still end too early.
            return APGD(steps=5 * STEPS, stop=stop, eot=self.draws)
        return PGD(steps=STEPS, loss="odds", stop=stop, eot=self.draws)

    @property
    def thorough(self) -> WorstOf:
        """What follows the plain attack, on what that leaves."""
        stop, sparse = self.draws == 1, self.threat.sparse
        looks = 1 if stop else 2 * self.draws
        # In l1 more depends on the start.
        steps, restarts = (100, 8) if sparse else (50, 1)
        return WorstOf(
            attacks=(
                APGD(steps=steps, restarts=restarts, stop=stop, eot=looks),
                APGD(steps=steps - 10, loss="margin", targets=4, stop=stop, eot=looks),
            )
        )

    @property
    def name(self) -> str:
        """Of what all rivals are held against."""
        return "the evaluation" if self.evidence is not None else f"{type(self.white_box).__name__} and AutoPGD"

    @cached_property
    def right(self) -> Tensor:
        """Rows that the model gets right when nobody attacks."""
        return self._right(self.data).nonzero().flatten()

    @cached_property
    def plain(self) -> tuple[Tensor, Tensor]:
        """The images of the rows `right` as the plain attack left them, and which of these stand."""
        found = self._attack(self.white_box, self.data.subset(self.right), self.view)
        return found, self._judge(found, self.right)

    @cached_property
    def _outcome(self) -> tuple[Tensor, Tensor]:
        if self.evidence is not None:
            rows = self.right.cpu()
            stands = self.evidence.broken_by[rows] == BrokenBy.STANDING
            return self.evidence.adversarial[rows].to(self.data.device), stands.to(self.data.device)
        found, stands = self.plain
        left = stands.nonzero().flatten()
        again = self._attack(self.thorough, self.data.subset(self.right[left]), self.view)
        fell = ~self._judge(again, self.right[left])
        found, stands = found.clone(), stands.clone()
        found[left[fell]], stands[left[fell]] = again[fell], False
        return found, stands

    @property
    def attacked(self) -> Tensor:
        """The images of the rows `right`, as the white box left them."""
        return self._outcome[0]

    @property
    def stands(self) -> Tensor:
        """Which of the rows `right` the white box leaves standing."""
        return self._outcome[1]

    @property
    def robust(self) -> Tensor:
        """Rows that the white box leaves standing."""
        return self.right[self.stands]

    @property
    def broken(self) -> Tensor:
        """Rows that only the white box gets wrong."""
        return self.right[~self.stands]

    @cached_property
    def nearest(self) -> Tensor:
        """The rows `robust`, those first that the white box brought nearest to the boundary."""
        if not len(self.robust):
            return self.robust
        shown = replace(self.data.subset(self.robust), images=self.attacked[self.stands])
        return self.robust[margin(self._logits(shown), shown.labels).nan_to_num(nan=torch.inf).argsort(descending=True)]

    def on_top(self, check: str, attack: Attack, *, through: nn.Module | None = None, most: int = TRIED) -> OnTop:
        """How many examples that stand the white box another attack breaks, the nearest first; they are remembered."""
        view = through or self.view
        hits = self._note(check, attack, view, self.nearest[:most])
        if hits:
            # A few hits among the nearest may be all there are, or what two points in a hundred look like.
            hits += self._note(check, attack, view, self.nearest[most:])
        return OnTop(hits=hits, count=len(self.data))

    def _note(self, check: str, attack: Attack, view: nn.Module, rows: Tensor) -> int:
        if not len(rows):
            return 0
        found = self._attack(attack, self.data.subset(rows), view)
        fell = ~self._judge(found, rows) if self.draws == 1 else self._surely(found, rows)
        self.ledger.note(check, rows[fell], found[fell])
        return int(fell.sum())

    def _surely(self, found: Tensor, rows: Tensor) -> Tensor:
        """Of a model that draws numbers, and is wrong now and then: what falls in many draws, and did not before."""
        many = SURELY * self.draws
        fell, close = self._looked_at(found, rows, many)
        fell[close] = self._looked_at(found[close], rows[close], LONGER * many)[0]
        before = self.attacked[(self.right[:, None] == rows[fell]).nonzero()[:, 0]]
        fell[fell.clone()] = replace(self, draws=LONGER * many).judge(before, rows[fell])
        return fell

    def _looked_at(self, found: Tensor, rows: Tensor, draws: int) -> tuple[Tensor, Tensor]:
        """Which are surely wrong in the mean of so many draws, and which wrong, but not surely."""
        if not len(rows):
            none = torch.empty(0, dtype=torch.bool, device=self.data.device)
            return none, none
        shown = self._shown(found, rows)
        looks = torch.stack([predict(self.model, shown) for _ in range(draws)])
        surely = surely_wrong(looks, shown.labels)
        return surely, ~surely & ~is_right(looks.mean(0), shown.labels)

    def standing(self, attack: Attack, rows: Tensor, *, threat: ThreatModel | None = None) -> Share:
        """How many of these rows another attack, or one in another ball, leaves standing."""
        return Share.of(int(self.left_by(attack, rows, threat=threat).sum()), len(rows))

    def left_by(self, attack: Attack, rows: Tensor, *, threat: ThreatModel | None = None) -> Tensor:
        """Which of these rows those are."""
        threat = threat or self.threat
        found = self._attack(attack, self.data.subset(rows), self.view, threat)
        return self._judge(found, rows, threat)

    def margins(self, images: Tensor, label: Tensor) -> Tensor:
        """Of pictures of one label: above 0 where the model is wrong."""
        labels = label.expand(len(images))
        return margin(self._logits(replace(self.data, images=images, labels=labels)), labels).nan_to_num(nan=0.0)

    def judge(self, images: Tensor, rows: Tensor) -> Tensor:
        """Which of these rows stand when shown so."""
        return self._judge(images, rows)

    def _attack(
        self, attack: Attack, part: ResidentDataset, view: nn.Module, threat: ThreatModel | None = None
    ) -> Tensor:
        # The same numbers each time, so that two attacks differ in nothing but themselves.
        generator = seeded(self.seed, part.device)
        return craft(attack, view, part.images, part.labels, threat or self.threat, generator=generator)

    def _judge(self, found: Tensor, rows: Tensor, threat: ThreatModel | None = None) -> Tensor:
        if not len(rows):
            return torch.empty(0, dtype=torch.bool, device=self.data.device)
        return self._right(self._shown(found, rows, threat))

    def _shown(self, found: Tensor, rows: Tensor, threat: ThreatModel | None = None) -> ResidentDataset:
        """What an attack found for these rows, numbers and inside the ball, whatever it was."""
        part = self.data.subset(rows)
        found = torch.where(found.isfinite(), found, part.images)
        return replace(part, images=(threat or self.threat).project(found, part.images))

    def _right(self, shown: ResidentDataset) -> Tensor:
        return is_right(self._logits(shown), shown.labels)

    def _logits(self, shown: ResidentDataset) -> Tensor:
        """In float32, and the mean of the model's draws."""
        return torch.stack([predict(self.model, shown) for _ in range(self.draws)]).mean(0)


def some(rows: Tensor, most: int = TRIED) -> Tensor:
    """Up to so many of the rows, evenly spread."""
    if len(rows) <= most:
        return rows
    return rows[torch.linspace(0, len(rows) - 1, most, device=rows.device).round().long()]


def finding(
    check: str, seen: str, *, figure: float | None, trouble: Verdict | None, cure: str, tried: int = 1
) -> Finding:
    """What was seen and, where there is `trouble`, what to do about it; of nothing `tried` nothing follows."""
    says = f"{seen}: {cure}" if trouble else seen
    return Finding(check=check, verdict=trouble or ("pass" if tried else "not tested"), figure=figure, says=says)
