"""No bound is ever above what an attack has seen, and a wrong bound is found out."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from random_nets import worst_violation
from torch import Tensor

from robustcnn.certify import activations
from robustcnn.certify.activations import Largest, Line, Rectifier, Tanh
from robustcnn.certify.operations import Affine, Box, Convolution, Dense, Scaling, Sum, Weighted
from robustcnn.core.norms import NORMS

SEEDS = range(12)
"""Networks; each is met with 6 points, 3 norms, 3 methods and 18 ways to move."""


@pytest.mark.parametrize("seed", SEEDS)
def test_no_bound_is_above_a_margin_that_an_attack_has_seen(seed: int) -> None:
    assert worst_violation(seed) <= 0


@pytest.mark.parametrize(
    "first",
    [
        pytest.param(first, marks=pytest.mark.slow if first == 100 else pytest.mark.soak)
        for first in range(100, 300, 25)
    ],
)
def test_no_bound_is_above_a_margin_that_an_attack_has_seen_on_many_networks(first: int) -> None:
    assert max(worst_violation(seed) for seed in range(first, first + 25)) <= 0


def _without_padding(self: Rectifier, box: Box) -> Line:
    line = activations._chord(box.low, box.high, self.curve)
    return Line(line.slope, line.offset * 0.5)


def _chord_below(self: Tanh, box: Box, slopes: Tensor | None) -> Line:
    return activations._chord(box.low, box.high, torch.tanh)


def _steep(self: Rectifier, box: Box) -> Tensor:
    return torch.full_like(box.low, 1.5)


def _level_rival(self: Largest, box: Box) -> Line:
    one = torch.ones_like(self.function(box.low))
    return Line(one, torch.zeros_like(one))


def _signed(self: Weighted, widths: Tensor) -> Tensor:
    return self.by(self.weight / 2, widths)


def _unturned(self: Scaling, widths: Tensor) -> Tensor:
    return widths * self.factor


def _no_bias(self: Affine, rows: Tensor) -> float:
    return 0.0


def _half_a_sum(self: Sum, rows: Tensor, shapes: object) -> tuple[Tensor, Tensor]:
    return rows, torch.zeros_like(rows)


def _half_a_box(self: Box, rows: Tensor) -> Tensor:
    rows = rows.flatten(2)
    centre, radius = (part.flatten(1).unsqueeze(2) for part in (self.centre, self.radius))
    return (rows @ centre - 0.5 * rows.abs() @ radius).squeeze(2)


MUTANTS: dict[str, tuple[type, str, Callable[..., object]]] = {
    "upper line through half the offset": (Rectifier, "upper", _without_padding),
    "lower line steeper than the function": (Rectifier, "usual", _steep),
    "tanh above its chord everywhere": (Tanh, "lower", _chord_below),
    "no rival in a pooling window": (Largest, "upper", _level_rival),
    "radius by the signed weights": (Convolution, "radius", _signed),
    "radius of a dense layer by its signed weights": (Dense, "radius", _signed),
    "a dense layer's bias left out": (Dense, "_constant", _no_bias),
    "negative scales that do not turn the box": (Scaling, "magnitude", _unturned),
    "a shortcut that is not counted": (Sum, "adjoint", _half_a_sum),
    "a box half as large": (Box, "least", _half_a_box),
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_wrong_bound_is_found_out(mutant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kind, name, wrong = MUTANTS[mutant]
    monkeypatch.setattr(kind, name, wrong)
    assert any(worst_violation(seed, methods=("interval", "crown")) > 0 for seed in range(40))


@pytest.mark.parametrize("norm", ["l2", "l1"])
def test_a_ball_whose_bound_is_too_small_is_found_out(norm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = type(NORMS[norm])
    true = kind.greatest_gain
    monkeypatch.setattr(kind, "greatest_gain", lambda self, *given: 0.6 * true(self, *given))
    assert any(worst_violation(seed, norms=(norm,), methods=("crown",)) > 0 for seed in range(40))


def test_the_mutants_are_made_of_methods_that_there_are() -> None:
    assert all(hasattr(kind, name) for kind, name, _ in MUTANTS.values())
