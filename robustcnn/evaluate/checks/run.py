"""Can the robustness figure be trusted? The checklist of Carlini et al. (2019) and what has been learnt since."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from torch import Tensor, nn

from robustcnn.attacks.black_box import black_box_in
from robustcnn.attacks.craft import prepare
from robustcnn.core.results import Finding
from robustcnn.core.runtime import Precision, exact_float32, first_line, global_seed, out_of_memory, seeded
from robustcnn.core.threat import ThreatModel
from robustcnn.data import ResidentDataset
from robustcnn.data.resident import as_pixels
from robustcnn.evaluate.checks import answers, conduct, gradients, radii, strength
from robustcnn.evaluate.checks.bench import Bench, finding
from robustcnn.evaluate.checks.input_range import unnormalised
from robustcnn.evaluate.checks.meter import Meter
from robustcnn.evaluate.checks.surrogate import distilled
from robustcnn.evaluate.checks.survival import survival
from robustcnn.evaluate.predict import predict
from robustcnn.evaluate.standings import Evidence
from robustcnn.fast.plain_view import plain_view

Say = Callable[[str], None]
Check = Callable[[Bench], Finding]

BARE = (
    answers.answers,
    answers.repeatable,
    answers.logits,
    answers.label_order,
    answers.differentiable,
    conduct.evaluation_mode,
    conduct.company,
    conduct.true_float32,
)
"""Those of the bare answers; the first has to pass before another is asked."""
CHECKS: tuple[Check, ...] = (
    gradients.finite,
    gradients.not_vanishing,
    gradients.not_clipped,
    gradients.not_shattered,
    radii.unbounded,
    radii.monotone,
    *strength.RIVALS,
    strength.off_grid,
    strength.hidden,
    strength.scale,
    survival,
)
"""All that need an attack on the gradient."""
DRAWS = 5
"""Looks at a model that draws random numbers ..."""
FEWER = 2
"""... and that takes its time: the examples are fewer by this factor."""
LEARNT_FROM = 1000
"""Examples that a surrogate is trained on, where none is given."""


def run_checks(
    model: nn.Module,
    data: ResidentDataset,
    threat: ThreatModel,
    *,
    count: int = 200,
    seed: int = 0,
    precision: Precision = "fp32",
    surrogate: nn.Module | None = None,
    evidence: Evidence | None = None,
    say: Say = lambda _: None,
) -> tuple[Finding, ...]:
    """One finding a check, over `count` of the examples; `say` hears each as it is found.

    `evidence` is what an evaluation of `data` in this ball found: then its figure is what is examined, and what it
    broke counts as broken; without it, PGD and AutoPGD of the checklist's own stand for an evaluation. `surrogate` is
    another model of the same pictures, for attacks by transfer; without one, small networks learn it.
    """
    _refuse(data, threat, count, evidence)
    model = plain_view(model)
    surrogate = None if surrogate is None else plain_view(surrogate)
    rows = data.rows(min(count, len(data)), generator=seeded(seed))
    sample = _pixels(data.subset(rows))
    meter = Meter(model)

    def told(check: str, work: Callable[[], Finding]) -> Finding:
        with meter:
            found = _carefully(check, work)
        found = replace(found, passes=meter.passes, seconds=meter.seconds)
        say(f"{found.verdict}  {found.check}: {found.says}")
        return found

    # For models that draw random numbers: the same seed, the same findings.
    with global_seed(seed), exact_float32():
        findings: list[Finding] = []
        for check in BARE:
            findings.append(told(check.__name__, partial(check, model, sample)))
            if findings[0].verdict == "fail":
                return tuple(findings)
        findings += [told(each.check, partial(lambda it: it, each)) for each in unnormalised(model, sample)]
        if _hopeless(findings) or black_box_in(model) is not None:
            return tuple(findings)
        settled = findings[1].verdict == "pass"
        rows = rows if settled else rows[: max(len(rows) // FEWER, 1)]
        first = predict(model, _pixels(data.subset(rows)))
        bench = _bench(model, data, rows, threat, seed, precision, surrogate, evidence, settled, say)
        meter.watch(bench.view, bench.surrogate)
        findings += [told(_name(check), partial(check, bench)) for check in CHECKS]
        findings.append(told("no memory", lambda: conduct.memoryless(bench, first)))
    return tuple(findings)


def _refuse(data: ResidentDataset, threat: ThreatModel, count: int, evidence: Evidence | None) -> None:
    if not len(data):
        raise ValueError(f"{data.name} holds no examples to check with")
    if not 0 < threat.eps < math.inf:
        raise ValueError(f"threat must have a finite eps above 0, got {threat}")
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    if evidence is not None and (evidence.threat != threat or len(evidence.labels) != len(data)):
        raise ValueError(
            f"evidence must be about {threat} and all {len(data)} examples, got {evidence.threat} and "
            f"{len(evidence.labels)}"
        )


def _hopeless(findings: list[Finding]) -> bool:
    """Whether there is nothing to climb: no finite scores, or no gradient."""
    bad = {each.check for each in findings if each.verdict == "fail"}
    return "input gradient" in bad or any(
        each.check == "scores are logits" and "not finite" in each.says for each in findings if each.verdict == "fail"
    )


def _bench(
    model: nn.Module,
    data: ResidentDataset,
    rows: Tensor,
    threat: ThreatModel,
    seed: int,
    precision: Precision,
    surrogate: nn.Module | None,
    evidence: Evidence | None,
    settled: bool,
    say: Say,
) -> Bench:
    sample = _pixels(data.subset(rows))
    learnt = data.rows(min(LEARNT_FROM, len(data)), generator=seeded(seed))
    other = surrogate or distilled(model, _pixels(data.subset(learnt)), threat, seed=seed)
    return Bench(
        model=model,
        view=_view(model, sample, precision, say),
        surrogate=_view(other, sample, precision, say),
        data=sample,
        threat=threat,
        draws=1 if settled else DRAWS,
        seed=seed,
        evidence=None if evidence is None else evidence.subset(rows.cpu()),
    )


def _pixels(data: ResidentDataset) -> ResidentDataset:
    return replace(data, images=as_pixels(data.images))


def _name(check: object) -> str:
    return getattr(check, "check", getattr(check, "__name__", "check"))


def _carefully(check: str, work: Callable[[], Finding]) -> Finding:
    """A check that the model makes impossible is a finding too, and no pass."""
    try:
        return work()
    except Exception as problem:  # of any kind: it is the model's
        if out_of_memory(problem):
            raise
        return finding(
            check.replace("_", " "),
            f"the model stopped it: {first_line(problem)}",
            figure=None,
            trouble="fail",
            cure="a model that fails under attack has not been measured; let it take any batch of pictures in [0, 1]",
        )


def _view(model: nn.Module, data: ResidentDataset, precision: Precision, say: Say) -> nn.Module:
    """To search with; that a model has no fast one is no finding, but worth a word."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        view = prepare(model, data.images, data.labels, precision=precision)
    for each in caught:
        say(str(each.message))
    return view
