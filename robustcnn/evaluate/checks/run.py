"""Can the robustness figure be trusted? The checklist of Carlini et al. (2019) and what has been learnt since."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from robustcnn.core.results import Finding
from robustcnn.core.runtime import Precision
from robustcnn.core.threat import ThreatModel
from robustcnn.data import ResidentDataset
from robustcnn.evaluate.checks.bench import Ledger
from robustcnn.evaluate.checks.exam import COUNT, Asked, exam_of
from robustcnn.evaluate.checks.opening import BARE, opened
from robustcnn.evaluate.checks.sitting import CHECKS, seated
from robustcnn.evaluate.standings import Evidence
from robustcnn.fast.plain_view import plain_view

Say = Callable[[str], None]
CHECKS_IN_ALL = len(BARE) + len(CHECKS)
"""For who wants to show how far they are: as many lines are said, if the model lets all be asked."""


def run_checks(
    model: nn.Module,
    data: ResidentDataset,
    threat: ThreatModel,
    *,
    count: int = COUNT,
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
    exam = exam_of(data, threat, count=count, seed=seed, precision=precision, evidence=evidence, surrogate=surrogate)
    model = plain_view(model)

    def told(asked: Asked) -> Asked:
        say(asked.line)
        return asked

    opening = opened(exam, model, data, say=lambda asked: say(asked.line))
    if opening.settled is None:
        return opening.findings
    sitting, known = seated(exam, model, data, opening.settled, say), Ledger()
    found = [told(sitting.ask(number, known)) for number in range(len(CHECKS))]
    return (*opening.findings, *(each.finding for each in found))
