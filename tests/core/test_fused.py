"""Compiled arithmetic gives what it gives as it is, for any number of examples; a failing compiler costs a word."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor
from torch._dynamo.utils import counters

from robustcnn.core import fused
from robustcnn.core.fused import fusing
from robustcnn.core.norms import NORMS, sorted_root
from robustcnn.core.runtime import seeded

EPS = {"l2": 0.5, "l1": 6.0}


@pytest.fixture
def sorting() -> Iterator[None]:
    """Projections as on devices."""
    kinds = set(sorted_root.SEARCHED)
    sorted_root.SEARCHED.clear()
    yield
    sorted_root.SEARCHED.update(kinds)


def answers(norm: str, count: int, *, radii: bool, compiled: bool) -> list[Tensor]:
    """A projection, a step and a query of Square."""
    origin = torch.rand(count, 3, 8, 8, generator=seeded(count))
    images = origin + torch.randn(origin.shape, generator=seeded(1)) / 10
    geometry, radius = NORMS[norm], torch.full((count, 1, 1, 1), EPS[norm]) if radii else EPS[norm]
    windows = geometry.windows
    assert windows is not None
    current = windows.start(origin, radius, seeded(2)).clamp(0, 1)
    with fusing(compiled):
        projected = geometry.projector(origin, radius, (0.0, 1.0))(images)
        step = geometry.steepest(images - origin, 0.1)
        return [projected, step, windows.change(origin, current, radius, 3, seeded(3))]


@pytest.mark.slow
@pytest.mark.usefixtures("sorting")
@pytest.mark.parametrize("norm", EPS)
def test_compiled_arithmetic_is_the_same_for_any_number_of_examples(norm: str) -> None:
    torch.compiler.reset()
    counters.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # Not 8, as many as an image has rows: the compiler would take the one for the other.
        for count, radii in ((9, False), (5, False), (9, True), (2, True), (1, False)):
            expected = answers(norm, count, radii=radii, compiled=False)
            for found, wanted in zip(answers(norm, count, radii=radii, compiled=True), expected, strict=True):
                torch.testing.assert_close(found, wanted, rtol=0, atol=2e-6)
    # At most four functions, each with one radius, with one for each example, and for a single example.
    assert 0 < counters["stats"]["unique_graphs"] <= 12


@pytest.fixture
def left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused, "_LEFT", set[object]())
    fused._compiled.cache_clear()


def twice(numbers: Tensor) -> Tensor:
    return 2 * numbers


@pytest.mark.usefixtures("left")
def test_a_failing_compiler_is_told_of_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = list[object]()

    def fail(function: object, **_: object) -> object:
        calls.append(function)
        raise RuntimeError("no C compiler\nand much more")

    monkeypatch.setattr(torch, "compile", fail)
    function = fused.fused(twice)
    with fusing(True), pytest.warns(UserWarning, match=r"^an attack's arithmetic is not compiled: no C compiler$"):
        assert torch.equal(function(torch.ones(2)), torch.full((2,), 2.0))
    with fusing(True):
        assert torch.equal(function(torch.ones(2)), torch.full((2,), 2.0))
    assert calls == [twice]


def test_what_does_not_fit_into_memory_is_for_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    def fill(*_: object, **__: object) -> object:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch, "compile", fill)
    with fusing(True), pytest.raises(torch.OutOfMemoryError):
        fused.fused(lambda: torch.ones(1))()


@pytest.mark.usefixtures("left")
def test_nothing_is_compiled_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda _, dynamic: lambda each: 3 * each if dynamic else each)
    function, ones = fused.fused(twice), torch.ones(1)
    assert function(ones) == 2
    with fusing(True):
        assert function(ones) == 3
        with fusing(False):
            assert function(ones) == 3
    assert function(ones) == 2
