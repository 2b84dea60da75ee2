"""How many kernels a step launches beside the model's own, counted on a linear model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from unittest.mock import patch

import pytest
import torch
from kernels import Counting, LinearModel
from planned import Planned

from robustcnn.attacks import APGD, FAB, PGD, Square
from robustcnn.attacks.base import Guarded, input_gradient
from robustcnn.core import fused
from robustcnn.core.norms import sorted_root
from robustcnn.core.runtime import seeded
from robustcnn.core.threat import ThreatModel

EPS = {"linf": 1e-4, "l2": 1e-3, "l1": 1e-2}
"""So small that nobody falls: all steps are alike."""
Make = Callable[[int], Guarded]
CASES: list[tuple[str, Make, str, int, int]] = [
    ("PGD", lambda steps: PGD(steps=steps), "linf", 15, 15),
    ("PGD", lambda steps: PGD(steps=steps), "l2", 32, 22),
    ("PGD", lambda steps: PGD(steps=steps), "l1", 53, 36),
    ("APGD", lambda steps: APGD(steps=steps, relax=False), "linf", 25, 25),
    ("APGD", lambda steps: APGD(steps=steps, relax=False), "l2", 56, 38),
    ("APGD", lambda steps: APGD(steps=steps, relax=False), "l1", 64, 48),
    ("FAB", lambda steps: FAB(steps=steps, targets=1), "l2", 89, 88),
    ("Square", lambda queries: Square(queries=queries), "linf", 24, 24),
    ("Square", lambda queries: Square(queries=queries), "l2", 46, 28),
]
"""An attack, its norm, and the most kernels, as it is and compiled: PGD's with the look for images that come round,
AutoPGD's with what it does at its start and at its checkpoints."""
NAMES = [f"{name}-{norm}" for name, _, norm, *_ in CASES]


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Projections sort, and the fallen are counted now and then, as on a device that is far away."""
    for module in ("core.waiting", "attacks.search_state"):
        monkeypatch.setattr(f"robustcnn.{module}.HOSTS", set[str]())
    kinds = set(sorted_root.SEARCHED)
    sorted_root.SEARCHED.clear()
    yield
    sorted_root.SEARCHED.update(kinds)


def kernels(attack: Guarded, norm: str, *, compiled: bool = False) -> int:
    model, images = LinearModel(3 * 8 * 8), torch.rand(16, 3, 8, 8, generator=seeded(0))
    labels = model(images).argmax(1)
    with Counting() as counting, patch.object(fused, "_compiled", Planned(counting)), fused.fusing(compiled):
        attack(model, images, labels, ThreatModel(norm=norm, eps=EPS[norm]), generator=seeded(0))
    return counting.total


def own() -> int:
    """The model's: forward, and the gradient of a sum of its logits, by way of the function that all attacks use."""
    model, images = LinearModel(3 * 8 * 8), torch.rand(16, 3, 8, 8)
    with Counting() as counting, torch.no_grad():
        input_gradient(model, images, lambda logits, _: (logits[:, 0], logits.detach()))
    return counting.total - counting.kernels["nan_to_num"]


def a_step(name: str, make: Make, norm: str, *, compiled: bool) -> float:
    """Beside the model."""
    # The checkpoints of AutoPGD are as many for any number of steps, so that a difference would not hold them.
    if name == "APGD":
        return kernels(make(100), norm, compiled=compiled) / 100 - own()
    # Square draws its windows once for each size, and keeps them: not a part of a query.
    kernels(make(48), norm)
    more, fewer = (kernels(make(steps), norm, compiled=compiled) for steps in (48, 16))
    return (more - fewer) / 32 - (1 if name == "Square" else own())


@pytest.mark.parametrize(("name", "make", "norm", "most", "_"), CASES, ids=NAMES)
def test_a_step_launches_few_kernels_beside_the_model(name: str, make: Make, norm: str, most: int, _: int) -> None:
    assert a_step(name, make, norm, compiled=False) <= most


@pytest.mark.slow
@pytest.mark.parametrize(("name", "make", "norm", "_", "most"), CASES, ids=NAMES)
def test_a_compiled_step_launches_fewer(name: str, make: Make, norm: str, _: int, most: int) -> None:
    assert a_step(name, make, norm, compiled=True) <= most
