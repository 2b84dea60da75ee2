"""A model that never answers, or takes all memory, ends in one line instead of an evening or a killed process."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from robustcnn.attacks import FGSM
from robustcnn.core.runtime import keep_memory
from robustcnn.core.threat import ThreatModel
from robustcnn.data import ResidentDataset
from robustcnn.evaluate import evaluate, run_checks
from robustcnn.evaluate.first_look import PATIENCE, first_look


class Doing(nn.Module):
    """Linear, and something else with every call."""

    def __init__(self, act: Callable[[], object]) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(144, 3))
        self.act, self.calls = act, 0

    def forward(self, images: Tensor) -> Tensor:
        self.calls += 1
        self.act()
        logits: Tensor = self.net(images)
        return logits


def devouring(held: list[Tensor]) -> None:
    held.extend(torch.ones(4 << 20) for _ in range(10_000))


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Little patience, and a gigabyte to spare."""
    monkeypatch.setattr("robustcnn.evaluate.first_look.PATIENCE", 0.5)
    monkeypatch.setattr("robustcnn.evaluate.first_look._free", lambda: 1 << 30)


SLEEPS = r"^the model has not answered within 0.5 s for one image, .*\(does it sleep, wait for input, or loop\?\)$"


@pytest.mark.usefixtures("hasty")
def test_a_model_that_sleeps_is_left_and_told_of(tiny: ResidentDataset) -> None:
    model, start = Doing(lambda: time.sleep(20)), time.perf_counter()
    with pytest.raises(ValueError, match=SLEEPS):
        evaluate(model, tiny, attacks=[FGSM()], threats=[ThreatModel(eps=0.1)])
    (found,) = run_checks(model, tiny, ThreatModel(eps=0.1))
    assert (found.check, found.verdict) == ("answers", "fail")
    assert time.perf_counter() - start < 15


def test_a_model_that_takes_all_memory_is_stopped_by_the_allocator_and_told_of(
    tiny: ResidentDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("robustcnn.evaluate.first_look._free", lambda: 1 << 30)
    before, held = resource.getrlimit(resource.RLIMIT_AS), list[Tensor]()
    model = Doing(lambda: devouring(held))
    with pytest.raises(ValueError, match=r"^the model takes more memory than there is for one image$"):
        evaluate(model, tiny, attacks=[FGSM()], threats=[ThreatModel(eps=0.1)])
    assert len(held) < 100
    assert resource.getrlimit(resource.RLIMIT_AS) == before


def test_a_model_that_keeps_more_with_every_call_is_told_of(tiny: ResidentDataset) -> None:
    held: list[Tensor] = []
    model = Doing(lambda: held.append(torch.ones(6 << 20)))
    with pytest.raises(ValueError, match=r"the model keeps 2\d MB more with every image .* collect what it works out"):
        evaluate(model, tiny, attacks=[FGSM()], threats=[ThreatModel(eps=0.1)])


def test_memory_that_lies_about_hides_no_growth(tiny: ResidentDataset) -> None:
    # glibc hands out anew what these leave behind, and the process does not grow.
    keep_memory()
    blocks = [torch.ones(25 << 20) for _ in range(4)]
    blocks.clear()
    held: list[Tensor] = []
    with pytest.raises(ValueError, match=r"the model keeps 2\d MB more with every image"):
        first_look(Doing(lambda: held.append(torch.ones(6 << 20))), torch.zeros(1, 1, 12, 12))


def test_memory_given_back_meanwhile_hides_no_growth() -> None:
    # A collection of garbage between two calls: the process shrinks there, whatever that call keeps.
    held, garbage = list[Tensor](), [torch.ones(25 << 20)]

    def act() -> None:
        held.append(torch.ones(6 << 20))
        if len(held) == 5:
            garbage.clear()

    with pytest.raises(ValueError, match=r"the model keeps 2\d MB more with every image"):
        first_look(Doing(act), torch.zeros(1, 1, 12, 12))


def test_a_model_that_keeps_something_now_and_then_is_taken() -> None:
    held, calls = list[Tensor](), list[int]()

    def act() -> None:
        calls.append(1)
        if len(calls) in (4, 6):
            held.append(torch.ones(6 << 20))

    first_look(Doing(act), torch.zeros(1, 1, 12, 12))
    assert len(held) == 2


def test_who_pays_by_the_query_is_asked_once_and_random_numbers_are_left_alone() -> None:
    image, model = torch.zeros(1, 1, 12, 12), Doing(lambda: torch.rand(1))
    first_look(model, image, again=False)
    assert model.calls == 1
    torch.manual_seed(0)
    first_look(model, image, again=False)
    after_one = torch.rand(1)
    torch.manual_seed(0)
    assert first_look(model, image) < PATIENCE
    assert torch.equal(torch.rand(1), after_one)
