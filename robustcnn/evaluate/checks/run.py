"""Can the robustness figure be trusted? The checklist of Carlini et al. (2019), run by itself."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import replace

from torch import nn

from robustcnn.attacks.craft import prepare
from robustcnn.core.results import Finding
from robustcnn.core.runtime import Precision, global_seed, seeded
from robustcnn.core.threat import ThreatModel
from robustcnn.data import ResidentDataset
from robustcnn.data.resident import as_pixels
from robustcnn.evaluate.checks import answers, gradients, strength
from robustcnn.evaluate.checks.bench import Bench
from robustcnn.evaluate.checks.surrogate import distilled
from robustcnn.fast.plain_view import plain_view

Say = Callable[[str], None]
Check = Callable[[Bench], Finding]

CHECKS: tuple[Check, ...] = (
    gradients.finite,
    gradients.not_vanishing,
    gradients.not_clipped,
    gradients.not_shattered,
    strength.unbounded,
    strength.monotone,
    *strength.RIVALS,
    strength.scale,
    strength.survival,
)
"""All that need an attack on the gradient; those of the bare answers come before."""
DRAWS = 5
"""Looks at a model that draws random numbers ..."""
FEWER = 4
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
    say: Say = lambda _: None,
) -> tuple[Finding, ...]:
    """One finding a check, over `count` of the examples; `say` hears each as it is found.

    `surrogate` is another model of the same pictures, for attacks by transfer; without one, a small network learns it.
    """
    if not len(data):
        raise ValueError(f"{data.name} holds no examples to check with")
    if not 0 < threat.eps < math.inf:
        raise ValueError(f"threat must have a finite eps above 0, got {threat}")
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")

    model = plain_view(model)
    surrogate = None if surrogate is None else plain_view(surrogate)

    def told(finding: Finding) -> Finding:
        say(f"{finding.verdict}  {finding.check}: {finding.says}")
        return finding

    sample = _sample(data, count, seed)
    # For models that draw random numbers: the same seed, the same findings.
    with global_seed(seed):
        findings = [told(check(model, sample)) for check in answers.CHECKS]
        if all(finding.verdict != "fail" for finding in findings):
            settled = findings[0].verdict == "pass"
            other = surrogate or distilled(model, _sample(data, LEARNT_FROM, seed), seed=seed)
            bench = Bench(
                model=model,
                view=_view(model, sample, precision, say),
                surrogate=_view(other, sample, precision, say),
                data=sample if settled else _sample(data, max(count // FEWER, 1), seed),
                threat=threat,
                draws=1 if settled else DRAWS,
                seed=seed,
            )
            findings += [told(check(bench)) for check in CHECKS]
    return tuple(findings)


def _sample(data: ResidentDataset, count: int, seed: int) -> ResidentDataset:
    chosen = data.sample(min(count, len(data)), generator=seeded(seed))
    return replace(chosen, images=as_pixels(chosen.images))


def _view(model: nn.Module, data: ResidentDataset, precision: Precision, say: Say) -> nn.Module:
    """To search with; that a model has no fast one is no finding, but worth a word."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        view = prepare(model, data.images, data.labels, precision=precision)
    for each in caught:
        say(str(each.message))
    return view
