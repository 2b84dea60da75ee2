"""Attacks of other kinds than the white box, each with a reason of its own to find what that has missed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from robustcnn.attacks import APGD, FGSM, MIFGSM, PGD, Attack, CornerNoise, Foolbox, Square, WorstOf
from robustcnn.attacks.base import Guarded, input_gradient
from robustcnn.core.losses import margin
from robustcnn.core.threat import ThreatModel
from robustcnn.evaluate.checks.bench import Bench
from robustcnn.evaluate.judging import as_bytes

QUERIES = 1000
"""Of the search without gradients, an example."""
FEWER = 16
"""Examples, the nearest ones, for attacks that take many looks at each."""
TOGETHER = 128
"""Pictures that are shown at once where one after the other would do: small models answer sooner."""


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class LongSteps(Guarded):
    """From where another model's adversarial image lies, with steps that fall from half of eps to nothing."""

    elsewhere: nn.Module
    """Where the start is made."""
    steps: int = 20
    eot: int = 1

    def search(
        self, model: nn.Module, images: Tensor, labels: Tensor, threat: ThreatModel, generator: torch.Generator
    ) -> Tensor:
        start = MIFGSM(loss="odds")(self.elsewhere, images, labels, threat, generator=generator)
        current, best, least = start, start, torch.full_like(labels, -torch.inf, dtype=images.dtype)
        for step in range(self.steps):
            slope = input_gradient(model, current, lambda logits, part: margin(logits, labels[part]), draws=self.eot)
            worse = slope.loss > least
            best = torch.where(worse.view(-1, *[1] * (images.ndim - 1)), current, best)
            least = torch.where(worse, slope.loss, least)
            size = threat.eps * (1 - step / self.steps) / 2
            current = threat.project(current + size * threat.steepest(slope.gradient, share=0.05), images)
        return best


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class Estimated(Guarded):
    """Ascent on a gradient that is estimated from answers alone, half of eps apart (Uesato et al. 2018)."""

    steps: int = 15
    pairs: int = 24

    def search(
        self, model: nn.Module, images: Tensor, labels: Tensor, threat: ThreatModel, generator: torch.Generator
    ) -> Tensor:
        current, best, least = images, images, margin(model(images), labels)
        for step in range(self.steps):
            slope, asked = torch.zeros_like(images), 0
            while asked < self.pairs:
                pairs = min(max(TOGETHER // (2 * len(images)), 1), self.pairs - asked)
                slope += self._slope(model, current, labels, threat, pairs, generator)
                asked += pairs
            size = threat.eps * (1 - step / self.steps) / 2
            current = threat.project(current + size * threat.steepest(slope, share=0.05), images)
            loss = margin(model(current), labels)
            best = torch.where((loss > least).view(-1, *[1] * (images.ndim - 1)), current, best)
            least = least.maximum(loss)
        return best

    def _slope(
        self,
        model: nn.Module,
        images: Tensor,
        labels: Tensor,
        threat: ThreatModel,
        pairs: int,
        generator: torch.Generator,
    ) -> Tensor:
        """By so many pairs of pictures an example, all of them shown at once."""
        signs = torch.randint(2, (pairs, *images.shape), generator=generator, device=generator.device) * 2 - 1
        change = _as_long_as(signs.to(images).flatten(0, 1), threat, threat.eps / 2)
        around = images.repeat(pairs, *[1] * (images.ndim - 1))
        losses = margin(model(torch.cat([around + change, around - change])), labels.repeat(2 * pairs))
        up, down = losses.chunk(2)
        risen = (up - down).nan_to_num().view(-1, *[1] * (images.ndim - 1)) * change
        slope: Tensor = risen.unflatten(0, (pairs, len(images))).sum(0)
        return slope


def _as_long_as(change: Tensor, threat: ThreatModel, length: float) -> Tensor:
    return change * (length / threat.distance(change, torch.zeros_like(change)).view(-1, *[1] * (change.ndim - 1)))


@dataclass(frozen=True, slots=True)
class Replayed:
    """What the white box ended with, for the examples that stand it."""

    bench: Bench

    def __call__(
        self,
        model: nn.Module,  # noqa: ARG002
        images: Tensor,
        labels: Tensor,  # noqa: ARG002
        threat: ThreatModel,  # noqa: ARG002
        *,
        generator: torch.Generator | None = None,  # noqa: ARG002
    ) -> Tensor:
        known = self.bench.data.images[self.bench.right].flatten(1)
        return self.bench.attacked[torch.cdist(images.flatten(1), known).argmin(1)]


@dataclass(frozen=True, slots=True)
class Rounded:
    """What an attack finds, as a file of bytes would hold it, inside the ball."""

    attack: Attack

    def __call__(
        self,
        model: nn.Module,
        images: Tensor,
        labels: Tensor,
        threat: ThreatModel,
        *,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        return as_bytes(self.attack(model, images, labels, threat, generator=generator), images, threat)[0]


def deviation(bench: Bench) -> float:
    """Of the noise that smooths a model: so that it is half as long as eps, mostly."""
    noise = torch.randn_like(bench.data.images[:8])
    typical = bench.threat.distance(noise, torch.zeros_like(noise)).mean()
    return bench.threat.eps / 2 if bench.threat.norm == "linf" else float(bench.threat.eps / 2 / typical)


def one_step(bench: Bench) -> Attack:
    half = PGD(steps=1, step_size=bench.threat.eps / 2, random_start=False, loss="odds", eot=bench.draws)
    return WorstOf(attacks=(FGSM(loss="odds", eot=bench.draws), half))


def search(bench: Bench) -> Attack:  # noqa: ARG001
    return Square(queries=QUERIES)


def blind(bench: Bench) -> Attack:  # noqa: ARG001
    return CornerNoise(draws=50)


def momentum(bench: Bench) -> Attack:  # noqa: ARG001
    return MIFGSM(loss="odds", steps=20)


def pushed(bench: Bench) -> Attack:
    """Not stopping at a success on the stand-in, which need not be one on the model."""
    if bench.threat.sparse:
        return APGD(steps=60, loss="odds", stop=False)
    return PGD(steps=30, loss="odds")


def averaged(bench: Bench) -> Attack:
    steps = 60 if bench.threat.sparse else 20
    return replace(bench.white_box, steps=steps, eot=max(8, bench.draws), stop=False)


def longer(bench: Bench) -> Attack:
    return replace(bench.white_box, steps=5 * bench.white_box.steps)


def restarted(bench: Bench) -> Attack:
    return replace(bench.white_box, restarts=5)


def adaptive(bench: Bench) -> Attack:
    """AutoPGD on losses of two kinds; its steps shorten where they do not pay."""
    stop, classes = bench.draws == 1, bench.data.spec.num_classes
    # Of a model that draws numbers as many looks as the white box took, and fewer aims for it.
    looks, aims = (1, 9) if stop else (2 * bench.draws, 5)
    return WorstOf(
        attacks=(
            APGD(steps=50, loss="dlr" if classes > 2 else "margin", restarts=2, stop=stop, eot=looks),
            APGD(steps=50, loss="margin", targets=aims, stop=stop, eot=looks),
        )
    )


def settled(bench: Bench) -> Attack:
    """On draws that stay the same, where it makes sense to compare one step with the last."""
    aimed = APGD(steps=40, loss="margin", targets=4, stop=False)
    return aimed if bench.threat.sparse else WorstOf(attacks=(PGD(steps=40, loss="margin"), aimed))


def long_steps(bench: Bench) -> Attack:
    return LongSteps(elsewhere=bench.surrogate, eot=bench.draws)


def estimated(bench: Bench) -> Attack:  # noqa: ARG001
    return Estimated()


def foreign(bench: Bench) -> Attack:
    """A foolbox attack that looks for the smallest change, with a loss and steps that are none of ours."""
    kinds: dict[str, Callable[[], Attack]] = {
        "linf": lambda: Foolbox(name="LInfFMNAttack", options={"steps": 60}),
        "l2": lambda: Foolbox(name="L2FMNAttack", options={"steps": 60}),
        "l1": lambda: Foolbox(name="L1FMNAttack", options={"steps": 60}),
    }
    return kinds[bench.threat.norm]()


def labels_alone(bench: Bench) -> Attack:
    """A walk along the boundary that asks for no more than the class (Chen et al. 2020, as foolbox has it)."""
    options = {"steps": 12, "initial_gradient_eval_steps": 20, "max_gradient_eval_steps": 60}
    constraint = "linf" if bench.threat.norm == "linf" else "l2"
    return Foolbox(name="HopSkipJumpAttack", options=options | {"constraint": constraint})
