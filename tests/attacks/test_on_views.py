"""Searching on a fast view of a model: nearly as strong as on the model itself, and believed only by the exact one."""

from __future__ import annotations

import math
from copy import deepcopy

import pytest
import torch
from victims import Trained

from robustcnn.attacks.base import Guarded, is_fooled
from robustcnn.attacks.bisection import Smallest
from robustcnn.attacks.carlini import CarliniWagner
from robustcnn.attacks.deepfool import DeepFool
from robustcnn.attacks.ensemble import WorstOf
from robustcnn.attacks.fab import FAB
from robustcnn.attacks.gradient import FGSM, PGD
from robustcnn.attacks.minimal import DDN, FMN
from robustcnn.attacks.noise import CornerNoise
from robustcnn.attacks.square import Square
from robustcnn.attacks.universal import Universal
from robustcnn.core.runtime import seeded
from robustcnn.core.threat import ThreatModel
from robustcnn.fast.view import fast_view

THREAT = ThreatModel(norm="l2", eps=0.8)
MINIMAL: list[Guarded] = [
    FAB(steps=8),
    FAB(steps=5, targets=3),
    DeepFool(),
    DDN(steps=30),
    FMN(steps=30),
    CarliniWagner(steps=30, searches=5, step_size=0.1),
    Smallest(attack=FGSM(), steps=4),
]
OTHERS: list[Guarded] = [Square(queries=50), WorstOf(attacks=(FGSM(), PGD(steps=5))), Universal(), CornerNoise(draws=5)]


@pytest.mark.parametrize("attack", [*MINIMAL, *OTHERS], ids=repr)
def test_a_reduced_precision_search_is_nearly_as_strong(attack: Guarded, trained: Trained) -> None:
    view = fast_view(trained.model, trained.images[:8], precision="bf16")
    on_view, on_model = (
        is_fooled(trained.model(attack(model, trained.images, trained.labels, THREAT)), trained.labels).float().mean()
        for model in (view, trained.model)
    )
    assert abs(on_view - on_model) <= 0.06


@pytest.mark.parametrize("attack", MINIMAL, ids=repr)
def test_what_a_minimal_attack_finds_fools_the_exact_model(attack: Guarded, trained: Trained) -> None:
    view = fast_view(trained.model, trained.images[:8], precision="bf16")
    threat = ThreatModel(norm="l2", eps=math.inf if not isinstance(attack, Smallest) else 4)
    found = attack(view, trained.images, trained.labels, threat)
    moved = (found != trained.images).flatten(1).any(1)
    fooled = is_fooled(view.exact(found), trained.labels)
    assert fooled[moved].all()
    assert fooled.float().mean() > 0.9


@pytest.mark.parametrize("attack", [DDN(steps=5), CarliniWagner(steps=5, searches=2)], ids=repr)
def test_attacks_for_l2_alone_sign_the_contract_too(attack: Guarded, trained: Trained) -> None:
    model = deepcopy(trained.model).train()
    model.zero_grad(set_to_none=True)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.no_grad():
        first = attack(model, trained.images, trained.labels, THREAT, generator=seeded(1))
    assert torch.equal(first, attack(trained.model, trained.images, trained.labels, THREAT, generator=seeded(2)))
    assert (THREAT.distance(first.double(), trained.images.double()) <= THREAT.eps * (1 + 1e-6)).all()
    assert all(module.training for module in model.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())
    assert torch.equal(attack(model, trained.images, trained.labels, ThreatModel(norm="l2", eps=0)), trained.images)
    assert eval(repr(attack)) == attack  # noqa: S307
