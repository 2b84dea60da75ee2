"""FAB against closed forms on linear models, and against other attacks on a trained one."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor, nn

from robustcnn.attacks.base import is_fooled
from robustcnn.attacks.fab import FAB
from robustcnn.attacks.gradient import PGD
from robustcnn.core.norms import NORMS, NormName
from robustcnn.core.runtime import global_seed, seeded
from robustcnn.core.threat import ThreatModel

if TYPE_CHECKING:
    from tests.attacks.conftest import Trained


def linear(classes: int) -> nn.Module:
    with global_seed(0):
        return nn.Sequential(nn.Flatten(), nn.Linear(36, classes)).requires_grad_(False)


def unlimited(norm: NormName) -> ThreatModel:
    return ThreatModel(norm=norm, eps=1 if norm == "linf" else math.inf)


def true_distance(model: nn.Module, images: Tensor, threat: ThreatModel) -> Tensor:
    """The nearest of the planes between the predicted class and each other one; the box is part of the problem."""
    logits, weight = model(images), model[1].weight
    label = logits.argmax(1)
    distances = []
    for other in range(logits.shape[1]):
        normal = (weight[other] - weight[label]).reshape(images.shape)
        gap = logits.gather(1, label[:, None]).squeeze(1) - logits[:, other]
        found = threat.onto_plane(images, normal, gap)
        reached = ((found - images) * normal).flatten(1).sum(1) > gap * 0.9999
        distance = torch.where(reached & (label != other), threat.distance(found, images), math.inf)
        distances.append(distance)
    return torch.stack(distances).amin(0)


@pytest.mark.parametrize("targets", [0, 3])
@pytest.mark.parametrize("norm", NORMS)
def test_the_distance_on_a_linear_model_is_the_true_one(norm: NormName, targets: int) -> None:
    images = 0.45 + 0.1 * torch.rand(16, 1, 6, 6, generator=seeded(1))
    check_distance(linear(4), images, norm, targets, within=1e-3)


@pytest.mark.parametrize("norm", NORMS)
def test_the_distance_is_the_true_one_where_many_pixels_are_at_a_bound(norm: NormName) -> None:
    images = (3 * torch.rand(16, 1, 6, 6, generator=seeded(1)) - 1).clamp(0, 1)
    check_distance(linear(2), images, norm, 0, within=5e-3)


def check_distance(model: nn.Module, images: Tensor, norm: NormName, targets: int, *, within: float) -> None:
    threat, labels = unlimited(norm), model(images).argmax(1)
    found = FAB(steps=30, targets=targets)(model, images, labels, threat)
    assert is_fooled(model(found), labels).all()
    expected = true_distance(model, images, threat)
    torch.testing.assert_close(threat.distance(found, images), expected, rtol=within, atol=1e-6)


def test_the_find_is_cut_to_the_ball_when_it_is_too_far(trained: Trained) -> None:
    model, images, labels = trained
    threat = ThreatModel(norm="l2", eps=0.3)
    whole = FAB(steps=10, targets=3)(model, images, labels, unlimited("l2"))
    cut = FAB(steps=10, targets=3)(model, images, labels, threat)
    near = threat.distance(whole, images) <= threat.eps
    assert near.any()
    assert not near.all()
    assert torch.equal(cut[near], whole[near])
    assert (threat.distance(cut, images) <= threat.eps * (1 + 1e-5)).all()


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_fab_finds_nearly_all_that_pgd_finds(trained: Trained, norm: NormName) -> None:
    model, images, labels = trained.model, trained.images[:64], trained.labels[:64]
    threat = ThreatModel(norm=norm, eps=0.15 if norm == "linf" else 0.8)
    by_fab = is_fooled(model(FAB(steps=20, targets=4)(model, images, labels, threat)), labels)
    by_pgd = is_fooled(model(PGD(steps=30)(model, images, labels, threat)), labels)
    assert 0.2 < by_pgd.float().mean() < 0.9
    assert by_fab.sum() >= 0.97 * by_pgd.sum()


def test_restarts_never_lengthen_a_distance_and_shorten_some(trained: Trained) -> None:
    model, images, labels = trained.model, trained.images[:48], trained.labels[:48]
    threat = unlimited("l2")
    once, often = (
        threat.distance(FAB(steps=8, restarts=restarts, final_steps=0)(model, images, labels, threat), images)
        for restarts in (1, 4)
    )
    assert (often <= once + 1e-6).all()
    assert (often < once - 1e-4).any()


def test_stop_leaves_out_what_an_earlier_target_has_broken(trained: Trained) -> None:
    model, images, labels = trained
    shown = []
    hook = model.register_forward_pre_hook(lambda _, inputs: shown.append(len(inputs[0])))
    threat = ThreatModel(norm="l2", eps=0.5)
    answers, costs = [], []
    for stop in (False, True):
        shown.clear()
        answers.append(FAB(steps=5, targets=3, stop=stop)(model, images, labels, threat))
        costs.append(sum(shown))
    hook.remove()
    everything, survivors = (is_fooled(model(answer), labels) for answer in answers)
    assert torch.equal(everything, survivors)
    assert costs[1] < 0.9 * costs[0]


def test_a_model_without_gradient_is_refused_with_the_way_out(trained: Trained) -> None:
    class Rounded(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return trained.model(images).detach()

    with pytest.raises(ValueError, match=r"use the black-box attacks \(Square, noise\)"):
        FAB()(Rounded(), trained.images[:2], trained.labels[:2], ThreatModel())


@pytest.mark.parametrize(("option", "message"), [({"steps": 0}, "steps"), ({"targets": -1}, "targets must be 0")])
def test_wrong_options_are_named(option: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FAB(**option)
