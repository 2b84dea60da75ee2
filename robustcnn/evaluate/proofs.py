"""The lower side of an evaluation: what is proven, whether attacks agree, and how far the undecided are from both."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from robustcnn.attacks import PGD
from robustcnn.attacks.curve import breaking_eps
from robustcnn.certify import NoLowerBound
from robustcnn.certify.margins import Method, Prover, radii
from robustcnn.core.broken_by import BrokenBy
from robustcnn.core.losses import is_right
from robustcnn.core.proof import Proof, TwoSided, Votes
from robustcnn.core.results import Finding, Share
from robustcnn.core.runtime import derived_seed, seeded
from robustcnn.core.threat import ThreatModel
from robustcnn.data import ResidentDataset
from robustcnn.data.resident import as_pixels
from robustcnn.evaluate.judging import attempt
from robustcnn.evaluate.parts import Parts
from robustcnn.evaluate.plan import Certify, Plan
from robustcnn.evaluate.standings import Evidence
from robustcnn.evaluate.votes import certificates, explained, lost, smoothed_model, votes_of

AUDIT, AUDITOR = 256, PGD(steps=20)
"""At most so many proven examples of each ball are attacked all the same, and how."""
FAR, GRID = 128, 16
"""At most so many undecided examples are measured from both sides, at so many radii."""
TOGETHER, AT_ONCE = 50, 1000
"""Images that bounds are worked out for at once, and that are held as floats."""
CHECK = "proven examples under attack"
"""The finding's name."""


@dataclass(frozen=True, eq=False)
class Proven:
    """One ball; tensors are on the CPU."""

    mask: Tensor
    """Which examples (N,) are proven."""
    seconds: float
    audited: int
    contradicted: int
    reaches: Tensor = field(default_factory=lambda: torch.empty(0))
    """The eps (N,) up to which each example is proven, where it is drawn."""
    votes: Votes | None = None
    """What the proof rests on where it is drawn."""

    @property
    def spared(self) -> Tensor:
        """Which no attack has to be tried on; none once an attack has contradicted the proof, and none by votes.

        Votes are about another model than the attacked one, which is a sample of it.
        """
        return torch.zeros_like(self.mask) if self.contradicted or self.votes else self.mask


Proofs = Mapping[ThreatModel, Proven]
View = Callable[[], nn.Module]
"""Gives the model to search with, when it is needed."""


def prove(
    model: nn.Module,
    view: View,
    data: ResidentDataset,
    plan: Plan,
    clean: Tensor,
    parts: Parts,
    say: Callable[[str], None],
) -> Proofs:
    """What is proven in each ball before anything is attacked; nothing, with a line, of a model without a bound."""
    try:
        if plan.certify == "smoothing":
            return _voted(model, data, plan, parts, say)
        return {} if plan.certify is None else _bounded(model, view, data, plan, plan.certify, clean, parts, say)
    except NoLowerBound as problem:
        say(str(problem))
        return {}


def _voted(
    model: nn.Module, data: ResidentDataset, plan: Plan, parts: Parts, say: Callable[[str], None]
) -> dict[ThreatModel, Proven]:
    """By randomised smoothing: radii are drawn once, and tell of every ball."""
    whole = smoothed_model(model, plan.threats)
    votes = votes_of(whole)
    say(f"smoothing: {votes.says}")
    reaches, seconds = certificates(whole, data, plan.seed, parts)
    found: dict[ThreatModel, Proven] = {}
    for threat in (threat for balls in plan.balls for threat in balls):
        # The first ball pays for all.
        took = 0.0 if found else seconds
        found[threat] = Proven(reaches >= threat.eps, took, audited=0, contradicted=0, reaches=reaches, votes=votes)
        say(_line(threat, "smoothing", found[threat]))
    return found


def _bounded(
    model: nn.Module,
    view: View,
    data: ResidentDataset,
    plan: Plan,
    method: Method,
    clean: Tensor,
    parts: Parts,
    say: Callable[[str], None],
) -> dict[ThreatModel, Proven]:
    """By lower bounds of the margins; what is proven is attacked here and there all the same."""
    found: dict[ThreatModel, Proven] = {}
    for balls in plan.balls:
        candidates = is_right(clean, data.labels.cpu())
        for threat in balls:
            part = _Part(model, data, threat, candidates, method)
            made = parts.tensors(f"proven-{threat.norm}-{threat.eps:.9g}", part.prove)
            # What is not proven in a small ball is not tried in larger ones.
            candidates = made["mask"]
            audited, broken = _audit(model, view, data, threat, candidates, plan, parts)
            found[threat] = Proven(candidates, float(made["seconds"]), audited, broken)
            say(_line(threat, method, found[threat]))
    return found


@dataclass(frozen=True, eq=False)
class _Part:
    """The work of one ball."""

    model: nn.Module
    data: ResidentDataset
    threat: ThreatModel
    candidates: Tensor
    method: Method

    def prove(self) -> dict[str, Tensor]:
        start, mask = time.perf_counter(), torch.zeros_like(self.candidates)
        rest = self.candidates.nonzero().flatten()
        # torch splits nothing into one empty part.
        for rows in rest.split(AT_ONCE) if len(rest) else ():
            part = self.data.subset(rows)
            prover = Prover(self.model, as_pixels(part.images), part.labels, self.threat)
            mask[rows] = prover.proven(self.method, TOGETHER).cpu()
        return {"mask": mask, "seconds": torch.tensor(time.perf_counter() - start, dtype=torch.float64)}


def _audit(
    model: nn.Module, view: View, data: ResidentDataset, threat: ThreatModel, mask: Tensor, plan: Plan, parts: Parts
) -> tuple[int, int]:
    """How many proven examples were attacked, and how many of them fell."""
    rows = mask.nonzero().flatten()
    seed = derived_seed(plan.seed, "audit", threat.norm, threat.eps)
    rows = rows[torch.randperm(len(rows), generator=seeded(seed))[:AUDIT]].sort().values
    if not len(rows) or not threat.eps:
        return 0, 0
    part = data.subset(rows)
    name = f"audit-{threat.norm}-{threat.eps:.9g}"
    tries = parts.fetch(name, rows, lambda: attempt(AUDITOR, model, view(), part, threat, seed=seed))
    return len(rows), int((~is_right(tries.logits, part.labels.cpu())).sum())


def _line(threat: ThreatModel, method: str, proven: Proven) -> str:
    share = Share.of(int(proven.mask.sum()), len(proven.mask))
    line = f"{method}  {threat}   {share} proven   {proven.seconds:.1f} s"
    if proven.contradicted:
        return f"{line}   FAIL: {proven.contradicted} of {proven.audited} proven examples were broken by {AUDITOR!r}"
    return line


def contested(model: nn.Module, data: ResidentDataset, evidence: Evidence, proven: Proven, plan: Plan) -> Proven:
    """Where votes certify what an attack broke, they are counted once more, of the adversarial image."""
    if proven.votes is None:
        return proven
    rows = (proven.mask & (evidence.broken_by != BrokenBy.STANDING)).nonzero().flatten()[:AUDIT]
    wrong = lost(smoothed_model(model, plan.threats), data, evidence, rows, plan.seed)
    return replace(proven, audited=len(rows), contradicted=wrong)


def proof_of(threat: ThreatModel, proven: Proven, evidence: Evidence, classes: int, method: str) -> Proof:
    """Both sides of one ball, now that it has been attacked."""
    broken = evidence.broken_by != BrokenBy.STANDING
    each = [evidence.labels == index for index in range(classes)]
    return Proof(
        norm=threat.norm,
        eps=threat.eps,
        method=method,
        proven=Share.of(int(proven.mask.sum()), len(proven.mask)),
        classes=tuple(Share.of(int(proven.mask[mine].sum()), int(mine.sum())) for mine in each),
        broken=int(broken.sum()),
        undecided=int((~broken & ~proven.mask).sum()),
        seconds=proven.seconds,
        audited=proven.audited,
        contradicted=proven.contradicted + int((broken & proven.spared).sum()),
        votes=proven.votes,
    )


def findings_of(proofs: Sequence[Proof]) -> tuple[Finding, ...]:
    """A failure, where an attack broke what was proven: one of the two is wrong, and with it the whole measurement."""
    count = sum(each.audited for each in proofs)
    wrong = sum(each.contradicted for each in proofs if not explained(each))
    if not wrong:
        return ()
    says = (
        f"{wrong} of {count} proven examples were broken by an attack: the bound or the judge is wrong, so that no "
        "figure here can be relied on (please report it with the model)"
    )
    return (Finding(check=CHECK, verdict="fail", figure=float(wrong), says=says),)


def two_sided(
    model: nn.Module, data: ResidentDataset, evidence: Evidence, proven: Proven, method: Certify, parts: Parts
) -> TwoSided | None:
    """How far examples of one ball that are neither proven nor wrong from the start are from both sides."""
    threat = evidence.threat
    chosen = ((evidence.broken_by != BrokenBy.CLEAN) & ~proven.mask).nonzero().flatten()[:FAR]
    part = data.subset(chosen)
    if not len(part) or not 0 < threat.eps < float("inf"):
        return None

    def measure() -> dict[str, Tensor]:
        images, labels = as_pixels(part.images), part.labels
        grid = [replace(threat, eps=threat.eps * step / GRID) for step in range(1, GRID + 1)]
        if method == "smoothing":
            reach = proven.reaches[chosen].clamp(min=0)
        else:
            reach = radii(model, images, labels, threat, method=method, rounds=6).cpu()
        return {
            "proven": reach,
            "broken": breaking_eps(AUDITOR, model, images, labels, grid).cpu(),
        }

    found = parts.tensors(f"two-sided-{threat.norm}-{threat.eps:.9g}", measure)
    return TwoSided(
        norm=threat.norm,
        eps=threat.eps,
        method=method,
        attack=repr(AUDITOR),
        proven=tuple(found["proven"].tolist()),
        broken=tuple(None if eps == float("inf") else eps for eps in found["broken"].tolist()),
    )
