"""A device computes ahead of its host only as long as the host does not ask it for a number."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

from robustcnn.attacks import (
    APGD,
    DDN,
    FAB,
    FMN,
    MIFGSM,
    PGD,
    CarliniWagner,
    CornerNoise,
    DeepFool,
    GaussianNoise,
    Smallest,
    Square,
    UniformNoise,
    Universal,
    WorstOf,
)
from robustcnn.attacks.base import Guarded
from robustcnn.core import waiting
from robustcnn.core.norms import sorted_root
from robustcnn.core.runtime import seeded
from robustcnn.core.threat import ThreatModel

STEPS = 32
EVERY = ("linf", "l2", "l1")
EPS = {"linf": 0.1, "l2": 1.0, "l1": 5.0}
ATTACKS: list[tuple[Guarded, tuple[str, ...], int]] = [
    (PGD(steps=STEPS), EVERY, 0),
    # A count at steps 0, 1, 2, 4, 8, 16, 24, ..., and one at the end.
    (PGD(steps=STEPS, stop=True), EVERY, 9),
    (MIFGSM(steps=STEPS, stop=True, diversity=0.5, translation=3), ("linf",), 9),
    (APGD(steps=STEPS), EVERY, 12),
    (APGD(steps=STEPS, targets=2, loss="dlr"), EVERY, 22),
    # One before each target and restart: which of the examples still stand.
    (FAB(steps=STEPS, targets=2), EVERY, 2),
    (FAB(steps=STEPS), ("linf",), 1),
    (DeepFool(steps=STEPS), EVERY, 4),
    (FMN(steps=STEPS), EVERY, 0),
    (DDN(steps=STEPS), ("l2",), 0),
    # Whether it has converged, ten times a search.
    (CarliniWagner(steps=STEPS, searches=2), ("l2",), 22),
    (Square(queries=STEPS), EVERY, 9),
    (UniformNoise(draws=STEPS), EVERY, 8),
    (GaussianNoise(draws=STEPS), ("l2",), 8),
    (CornerNoise(draws=STEPS), ("l1",), 8),
    (Universal(epochs=3), EVERY, 0),
    (Smallest(attack=PGD(steps=STEPS, stop=True), steps=3), EVERY, 40),
    (WorstOf(attacks=(PGD(steps=STEPS, stop=True), FAB(steps=STEPS, targets=1))), ("linf",), 14),
]
"""An attack, its norms, and how often it may make the host wait for a number."""
CASES = [
    pytest.param(attack, norm, waits, id=f"{attack!r}-{norm}") for attack, norms, waits in ATTACKS for norm in norms
]


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """All devices are far away; every number that is waited for is 0, and noted."""
    noted: list[int] = []

    def wait_for(count: Tensor) -> int:
        noted.append(count.numel())
        return 0

    for module in ("core.waiting", "attacks.search_state", "attacks.carlini"):
        monkeypatch.setattr(f"robustcnn.{module}.wait_for", wait_for)
    monkeypatch.setattr(waiting, "HOSTS", set[str]())
    for module in (
        "attacks.search_state",
        "attacks.closest",
        "attacks.cycles",
        "attacks.deepfool",
        "attacks.side_by_side",
    ):
        monkeypatch.setattr(f"robustcnn.{module}.HOSTS", set[str]())
    kinds = set(sorted_root.SEARCHED)
    sorted_root.SEARCHED.clear()
    yield noted
    sorted_root.SEARCHED.update(kinds)


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 5)).eval().requires_grad_(False)


@pytest.mark.parametrize(("attack", "norm", "most"), CASES)
def test_the_host_waits_for_counts_alone(
    attack: Guarded, norm: str, most: int, waits: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Square asks once, before it begins, where all its windows go.
    monkeypatch.setattr(FakeTensor, "tolist", lambda tensor: [[0.5, 0.5]] * len(tensor))
    # Each call of an attack checks once what it is given, members of others included.
    for check in ("check_batch", "check_classes"):
        monkeypatch.setattr(f"robustcnn.attacks.base.{check}", lambda *_: None)
    with FakeTensorMode(), torch.no_grad():
        model, images = network(), torch.rand(16, 3, 8, 8)
        labels = torch.zeros(16, dtype=torch.int64)
        found = attack.search(model, images, labels, ThreatModel(norm=norm, eps=EPS[norm]), seeded(0))
    assert found.shape == images.shape
    assert len(waits) <= most
