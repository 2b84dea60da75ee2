"""The checks that attack: each gives the same finding whatever else is asked, here or elsewhere."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from robustcnn.attacks.craft import prepare
from robustcnn.core.results import Finding
from robustcnn.core.runtime import Precision, derived_seed, exact_float32, global_seed, seeded
from robustcnn.data import ResidentDataset
from robustcnn.evaluate.checks import conduct, gradients, radii, strength
from robustcnn.evaluate.checks.bench import Bench, Ledger, finding
from robustcnn.evaluate.checks.exam import Asked, Exam, carefully, metered, pixels
from robustcnn.evaluate.checks.meter import Meter
from robustcnn.evaluate.checks.surrogate import distilled
from robustcnn.evaluate.checks.survival import survival
from robustcnn.evaluate.predict import predict

Say = Callable[[str], None]
Check = Callable[..., Finding]
"""Of a bench; the last, of what the model said first too."""

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
    conduct.memoryless,
)
"""All that need an attack on the gradient; the last asks again what was asked at the start."""
LATE = (CHECKS.index(strength.hidden), CHECKS.index(conduct.memoryless))
"""Those that come after all others; none of the others depends on another one."""
DRAWS = 5
"""Looks at a model that draws random numbers ..."""
FEWER = 2
"""... and that takes its time: the examples are fewer by this factor."""
LEARNT_FROM = 1000
"""Examples that a surrogate is trained on, where none is given."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Sitting:
    """Everything that checks on the gradient share."""

    bench: Bench
    first: Tensor
    """What the model said before it was attacked."""
    meter: Meter

    def ask(self, number: int, known: Ledger) -> Asked:
        """One of `CHECKS`: the same finding whatever else was asked; `known`, of the checks before it, grows."""
        check, ledger = CHECKS[number], self.bench.ledger
        name = _name(check)
        work = partial(check, self.bench, *([self.first] if check is conduct.memoryless else []))
        # For models that draw random numbers: the same seed, the same finding.
        with global_seed(derived_seed(self.bench.seed, name)), exact_float32():
            ledger.found = dict(known.found) if number in LATE else {}
            found = Asked(metered(name, work, self.meter), Ledger(found=ledger.found))
        known.join(found.ledger)
        return found


def seated(exam: Exam, model: nn.Module, data: ResidentDataset, settled: bool, say: Say) -> Sitting:
    """With all that checks have in common worked out: it is on nobody's bill."""
    meter, rows = Meter(model), exam.rows if settled else exam.rows[: max(len(exam.rows) // FEWER, 1)]
    with global_seed(exam.seed), exact_float32():
        first = predict(model, pixels(data.subset(rows)))
        bench = _bench(exam, model, data, rows, settled, say)
        # What the model does not survive, each check that needs it says for itself.
        for shared in ("right", "plain", "stands", "nearest"):
            carefully(shared, partial(_had, bench, shared))
    meter.watch(bench.view, bench.surrogate)
    return Sitting(bench=bench, first=first, meter=meter)


def _bench(exam: Exam, model: nn.Module, data: ResidentDataset, rows: Tensor, settled: bool, say: Say) -> Bench:
    sample = pixels(data.subset(rows))
    learnt = data.rows(min(LEARNT_FROM, len(data)), generator=seeded(exam.seed))
    other = exam.surrogate or distilled(model, pixels(data.subset(learnt)), exam.threat, seed=exam.seed)
    return Bench(
        model=model,
        view=_view(model, sample, exam.precision, say),
        surrogate=_view(other, sample, exam.precision, say),
        data=sample,
        threat=exam.threat,
        draws=1 if settled else DRAWS,
        seed=exam.seed,
        evidence=None if exam.evidence is None else exam.evidence.subset(torch.arange(len(rows))),
    )


def _had(bench: Bench, shared: str) -> Finding:
    getattr(bench, shared)
    return finding(shared, "", figure=None, trouble=None, cure="")


def _view(model: nn.Module, data: ResidentDataset, precision: Precision, say: Say) -> nn.Module:
    """To search with; that a model has no fast one is no finding, but worth a word."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        view = prepare(model, data.images, data.labels, precision=precision)
    for each in caught:
        say(str(each.message))
    return view


def _name(check: object) -> str:
    return getattr(check, "check", getattr(check, "__name__", "check"))
