"""An image that comes round in a fixed-step ascent leaves early, and the answer stays the same to the bit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from robustcnn.attacks.cycles import Cycles
from robustcnn.attacks.gradient import BIM, MIFGSM, PGD
from robustcnn.core.runtime import seeded
from robustcnn.core.snapshots import Snapshots, begin, kept_in
from robustcnn.core.threat import ThreatModel

if TYPE_CHECKING:
    from tests.attacks.conftest import Trained

THREAT = ThreatModel(eps=0.1)
STEP = THREAT.eps / 4
WAYS = (
    PGD(steps=100, step_size=STEP),
    PGD(steps=99, step_size=STEP, restarts=2),
    PGD(steps=100, step_size=STEP, restarts=2, stop=True),
    PGD(steps=100, step_size=STEP, best=True),
    PGD(steps=100, step_size=STEP, target="least"),
    BIM(steps=90, step_size=STEP),
)


class Counting(nn.Module):
    """How many images it has seen."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.seen = model, 0

    def forward(self, images: Tensor) -> Tensor:
        self.seen += len(images)
        logits: Tensor = self.model(images)
        return logits


def counted(attack: PGD | BIM, trained: Trained) -> tuple[Tensor, int]:
    model = Counting(trained.model)
    found = attack(model, trained.images, trained.labels, THREAT)
    return found, model.seen


@pytest.mark.parametrize("attack", WAYS, ids=repr)
def test_the_answer_is_the_same_to_the_bit_and_takes_fewer_passes(
    attack: PGD | BIM, trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, passes = counted(attack, trained)
    monkeypatch.setattr(Cycles, "closed", lambda *_: None)
    whole, all_passes = counted(attack, trained)
    assert torch.equal(found, whole)
    assert passes < 0.97 * all_passes


def test_an_ascent_that_is_resumed_after_some_came_round_ends_alike(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def search(where: Snapshots | None) -> Tensor:
        generator = seeded(5)
        with kept_in(where):
            begin(generator)
            return WAYS[1](trained.model, trained.images, trained.labels, THREAT, generator=generator)

    class Died(BaseException):
        pass

    def look(self: Snapshots) -> None:
        looks[0] += 1
        if looks[0] == stop:
            self.write()
            raise Died

    whole = search(None)
    for stop in (30, 60, 110):
        looks, path = [0], tmp_path / str(stop)
        with monkeypatch.context() as patch:
            patch.setattr(Snapshots, "look", look)
            with pytest.raises(Died):
                search(Snapshots(path, "k"))
        assert torch.equal(search(Snapshots(path, "k")), whole)


class Drawing(nn.Module):
    """Nearly the same answer, with random numbers of its own or the global ones."""

    def __init__(self, model: nn.Module, source: object = None) -> None:
        super().__init__()
        self.model, self.source = model, source

    def forward(self, images: Tensor) -> Tensor:
        if isinstance(self.source, np.random.Generator):
            self.source.random()
        elif isinstance(self.source, torch.Generator):
            torch.rand(1, generator=self.source)
        else:
            torch.rand(1)
        logits: Tensor = self.model(images)
        return logits


@pytest.mark.parametrize("source", [None, seeded(0), np.random.default_rng(0)], ids=["global", "torch", "numpy"])
def test_nobody_leaves_a_model_that_draws_random_numbers(source: object, trained: Trained) -> None:
    attack = PGD(steps=100, step_size=STEP)
    _, passes = counted(attack, trained._replace(model=Drawing(trained.model, source)))
    assert passes == 1 + 100 * len(trained.labels)


def test_only_steps_that_repeat_themselves_are_watched() -> None:
    assert PGD().repeats_itself
    assert BIM().repeats_itself
    assert not PGD(schedule="cosine").repeats_itself
    assert not PGD(eot=2).repeats_itself
    assert not MIFGSM(momentum=1).repeats_itself
    assert not MIFGSM(momentum=0, diversity=0.5).repeats_itself
