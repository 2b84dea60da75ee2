"""The judge: how many examples stand, whatever is tried."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn
from tqdm import tqdm

from robustcnn import __version__
from robustcnn.attacks.base import Attack
from robustcnn.core.broken_by import BrokenBy
from robustcnn.core.proof import Proof, TwoSided
from robustcnn.core.results import Finding, RobustnessReport, Smallest
from robustcnn.core.runtime import Precision, derived_seed, evaluating, exact_float32, global_seed
from robustcnn.core.threat import ThreatModel
from robustcnn.data import ResidentDataset
from robustcnn.evaluate.audit import AuditConfig, refuse_audit
from robustcnn.evaluate.first_sight import sight
from robustcnn.evaluate.foresight import forecast, longest, worth_compiling
from robustcnn.evaluate.metrics import metrics
from robustcnn.evaluate.parts import Parts, is_begun
from robustcnn.evaluate.pieces import BatchSize, Compile, Crew, Hands, Job
from robustcnn.evaluate.plan import Certify, Plan
from robustcnn.evaluate.proofs import Proofs, contested, findings_of, proof_of, prove, two_sided
from robustcnn.evaluate.runner import After, Say, Trial
from robustcnn.evaluate.standings import Evidence
from robustcnn.fast.plain_view import plain_view

COMPILED = "the attacks take long enough to compile the model first: a minute or two (--compile no leaves it out)"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Judged:
    """The figures, and the images that they rest on."""

    report: RobustnessReport
    evidence: tuple[Evidence, ...]
    """One for each of the report's threats."""


def evaluate(
    model: nn.Module,
    data: ResidentDataset,
    attacks: Sequence[Attack],
    threats: Sequence[ThreatModel],
    *,
    name: str = "model",
    precision: Precision = "fp32",
    batch_size: BatchSize = "auto",
    compile: Compile = "no",
    block: int = 512,
    seed: int = 0,
    folder: Path | None = None,
    progress: bool = False,
    audit: int | None = None,
    until: float | None = None,
    findings: Sequence[Finding] = (),
    say: Say = lambda _: None,
    certify: Certify | None = None,
) -> RobustnessReport:
    """How `model` stands on `data` against all attacks in all balls: for each example, the worst of them counts.

    What is wrong without an attack is not robust, and what an attack broke in a small ball is broken in the larger
    ones of that norm: an attack is given only what still stands against it. Its answers are projected into the ball
    again and judged by the plain model in float32, whatever the `precision` of the search.

    With a `folder`, every `block` of images that an attack is done with is kept there, and the same call goes on from
    what it finds; another one is refused. `progress` shows a bar, where there is a terminal to show it on; `say` gets
    a line for each attack and ball.

    With an `audit`, AutoAttack attacks a random part, of so many, of what the attacks leave: its robust accuracy on all
    examples is then known to an exact interval; `until` stops once that is narrower than so many points. `Swift` hands
    over to AutoAttack where its sentinel finds something, or where `findings` (of `run_checks`) hold more than passes.

    `compile` has the search's view of the model compiled; `auto` where the work is long enough to pay for it.

    With `certify`, what can be proven is proven first and spared the attacks, but for a check of it; the report then
    has both sides. A proven example that an attack breaks fails the whole measurement. "smoothing" certifies a
    `Smoothed` model in l2: for the majority over all noise, so that nothing is spared and an example may be both
    certified and broken.
    """
    plan = Plan(
        attacks=tuple(attacks), threats=tuple(threats), precision=precision, block=block, seed=seed, certify=certify
    )
    after = After(audit=AuditConfig(count=audit, until=until), doubt=doubt(findings))
    options = {"name": name, "batch_size": batch_size, "folder": folder, "say": say, "compile": compile}
    with bar_of(name, shown=progress) as bar:
        shown = bar if progress else None
        report = judge(model, data, plan, after=after, bar=shown, **options).report  # type: ignore[arg-type]
    return replace(report, findings=(*report.findings, *findings))


def bar_of(name: str, *, shown: bool) -> tqdm:
    """Over all that will be done about one model; on a terminal alone. What works on a part says how much that is."""
    return tqdm(total=0, desc=f"evaluating {name}", disable=None if shown else True)


def doubt(findings: Sequence[Finding]) -> str:
    """What of the checklist speaks against the figures of gradient attacks; empty when nothing does."""
    bad = [each for each in findings if each.speaks_up]
    return f"the checklist says {bad[0].verdict} to {', '.join(each.check for each in bad)}" if bad else ""


@torch.no_grad()
def judge(
    model: nn.Module,
    data: ResidentDataset,
    plan: Plan,
    *,
    name: str = "model",
    batch_size: BatchSize = "auto",
    compile: Compile = "no",
    folder: Path | None = None,
    bar: tqdm | None = None,
    after: After = After(),  # noqa: B008  (frozen)
    say: Say = lambda _: None,
    crew: Crew | None = None,
) -> Judged:
    """`evaluate`, with the worst images beside the report; a `crew` makes the pieces that have no file yet."""
    refuse_audit(plan.attacks, after.audit)
    model = plain_view(model)
    with evaluating(model), exact_float32(), global_seed(derived_seed(plan.seed, "judge")):
        job = Job(model=model, data=data, plan=plan, batch_size=batch_size, compiled=compile == "yes")
        wanted = bar is not None or folder or (compile == "auto" and data.device.type != "cpu")
        timed = bool(wanted) and not is_begun(folder)
        clean, pace = (crew.sight if crew else sight)(job, timed=timed)
        job.clean = clean
        parts = Parts(folder, plan.page(model, data, clean.argmax(1)))
        if pace is not None:
            seconds = longest(job, pace)
            if compile == "auto" and worth_compiling(seconds, data.device):
                say(COMPILED)
                job = replace(job, compiled=True)
            if bar is not None or folder:
                say(forecast(seconds / (crew.size if crew else 1)))
        trial = Trial(Hands(job, parts, crew), after)
        trial.proofs = prove(model, lambda: job.view, data, plan, clean, parts, say)
        shown = bar_of(name, shown=False) if bar is None else bar
        scores, evidence = zip(*trial.run(shown, say), strict=True)
        proofs, far = _both_sides(model, data, plan, trial.proofs, evidence, parts)
    for each in proofs:
        say(f"{ThreatModel(norm=each.norm, eps=each.eps)}   {each.says}")
    report = RobustnessReport(
        model=name,
        data=data.name,
        fingerprint=data.fingerprint,
        count=len(data),
        clean=metrics(clean, trial.labels, data.classes),
        threats=scores,
        smallest=tuple(_smallest([each for each in evidence if each.threat in balls]) for balls in plan.balls),
        findings=findings_of(proofs),
        proofs=proofs,
        two_sided=far,
        made_by={
            "robustcnn": __version__,
            "torch": torch.__version__,
            "device": str(data.device),
            "precision": plan.precision,
            "float32": "exact: TF32 and bf16 off in search and judge"
            if plan.precision == "fp32"
            else "exact in the judge",
            "seed": str(plan.seed),
        },
    )
    return Judged(report=report, evidence=evidence)


def _both_sides(
    model: nn.Module, data: ResidentDataset, plan: Plan, proofs: Proofs, evidence: Sequence[Evidence], parts: Parts
) -> tuple[tuple[Proof, ...], tuple[TwoSided, ...]]:
    """What was proven beside what was broken, and how far the rest is from both: of each norm's largest finite ball."""
    if plan.certify is None or not proofs:
        return (), ()
    classes = data.spec.num_classes
    proofs = {each.threat: contested(model, data, each, proofs[each.threat], plan) for each in evidence}
    found = [proof_of(each.threat, proofs[each.threat], each, classes, plan.certify) for each in evidence]
    largest = [each for balls in plan.balls for each in evidence if each.threat == _largest(balls)]
    far = [two_sided(model, data, each, proofs[each.threat], plan.certify, parts) for each in largest]
    return tuple(found), tuple(each for each in far if each is not None)


def _largest(balls: Sequence[ThreatModel]) -> ThreatModel:
    return [threat for threat in balls if math.isfinite(threat.eps)][-1] if math.isfinite(balls[0].eps) else balls[0]


def _smallest(evidence: Sequence[Evidence]) -> Smallest:
    """`evidence` is of one norm, eps growing."""
    least: list[float | None] = [None] * len(evidence[0].labels)
    for each in evidence:
        for row, broken_by in enumerate(each.broken_by.tolist()):
            if least[row] is None and broken_by != BrokenBy.STANDING:
                least[row] = 0.0 if broken_by == BrokenBy.CLEAN else each.threat.eps
    median = statistics.median(float("inf") if eps is None else eps for eps in least)
    return Smallest(norm=evidence[0].threat.norm, eps=tuple(least), median=None if median == float("inf") else median)
