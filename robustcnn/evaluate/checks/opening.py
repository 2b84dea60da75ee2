"""The bare answers: what comes first, and whether anything can follow."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from torch import nn

from robustcnn.attacks.black_box import black_box_in
from robustcnn.core.results import Finding
from robustcnn.core.runtime import exact_float32, global_seed
from robustcnn.data import ResidentDataset
from robustcnn.evaluate.checks import answers, conduct
from robustcnn.evaluate.checks.exam import Asked, Exam, metered, pixels
from robustcnn.evaluate.checks.input_range import unnormalised
from robustcnn.evaluate.checks.meter import Meter

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


class Opening(NamedTuple):
    """The bare answers."""

    findings: tuple[Finding, ...]
    settled: bool | None
    """Whether the model says the same twice; None where nothing more can be asked."""


def opened(exam: Exam, model: nn.Module, data: ResidentDataset, say: Callable[[Asked], None]) -> Opening:
    """What comes first; `say` hears each finding."""
    sample, meter, findings = pixels(data.subset(exam.rows)), Meter(model), list[Finding]()

    def asked(check: str, work: Callable[[], Finding]) -> None:
        findings.append(metered(check, work, meter))
        say(Asked(findings[-1]))

    with global_seed(exam.seed), exact_float32():
        for check in BARE:
            asked(check.__name__, partial(check, model, sample))
            if findings[0].verdict == "fail":
                return Opening(tuple(findings), None)
        for each in unnormalised(model, sample):
            asked(each.check, partial(lambda it: it, each))
    if _hopeless(findings) or black_box_in(model) is not None:
        return Opening(tuple(findings), None)
    return Opening(tuple(findings), findings[1].verdict == "pass")


def _hopeless(findings: list[Finding]) -> bool:
    """Whether there is nothing to climb: no finite scores, or no gradient."""
    bad = {each.check for each in findings if each.verdict == "fail"}
    return "input gradient" in bad or any(
        each.check == "scores are logits" and "not finite" in each.says for each in findings if each.verdict == "fail"
    )
