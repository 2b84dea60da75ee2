"""Minimal attacks: closed forms on a linear model, and each other's distances on a trained one."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor, nn

from robustcnn.attacks.base import Guarded, input_gradient, is_fooled
from robustcnn.attacks.bisection import Smallest
from robustcnn.attacks.carlini import CarliniWagner
from robustcnn.attacks.closest import Closest
from robustcnn.attacks.deepfool import DeepFool
from robustcnn.attacks.fab import FAB
from robustcnn.attacks.gradient import FGSM, PGD
from robustcnn.attacks.linearise import nearest
from robustcnn.attacks.minimal import DDN, FMN
from robustcnn.core.losses import margin
from robustcnn.core.norms import NormName
from robustcnn.core.runtime import seeded
from robustcnn.core.threat import ThreatModel
from robustcnn.fast.plain_view import PlainView
from robustcnn.fast.view import CoarseView

if TYPE_CHECKING:
    from tests.attacks.conftest import Linear, Trained

DUAL = {"linf": 1, "l2": 2, "l1": math.inf}
TINY_OVERSHOOT = DeepFool(overshoot=1e-5)
CASES: list[tuple[Guarded, NormName, float]] = [
    (TINY_OVERSHOOT, "linf", 2e-5),
    (TINY_OVERSHOOT, "l2", 2e-5),
    (TINY_OVERSHOOT, "l1", 2e-5),
    (DeepFool(), "l2", 0.021),
    (DDN(steps=200), "l2", 0.01),
    (FMN(steps=200), "l2", 0.01),
    (FMN(steps=200), "linf", 0.01),
    (FMN(steps=200), "l1", 0.01),
    (CarliniWagner(steps=200, searches=10, step_size=0.003), "l2", 0.03),
    (Smallest(attack=FGSM(), steps=16), "linf", 0.01),
    (Smallest(attack=PGD(steps=2, random_start=False), steps=16), "l2", 0.01),
]


def unlimited(norm: NormName) -> ThreatModel:
    return ThreatModel(norm=norm, eps=1 if norm == "linf" else math.inf)


@pytest.fixture
def centred(binary: Linear) -> tuple[Linear, Tensor]:
    """A linear model whose boundary passes through the grey image, and images to either side of it."""
    direction = binary.weight[1].detach()
    with torch.no_grad():
        binary.bias.copy_(-binary.weight.sum(1) / 2)
    generator = seeded(0)
    far = torch.linspace(0.08, 0.12, 6, dtype=torch.float64)
    side = torch.cat([far, -far])[:, None] * direction / direction.norm()
    noise = 0.02 * torch.randn(12, 16, generator=generator, dtype=torch.float64)
    return binary, (0.5 + side + noise).reshape(12, 1, 4, 4)


@pytest.mark.parametrize(("attack", "norm", "within"), CASES, ids=str)
def test_the_distance_on_a_linear_model_is_margin_over_dual_norm(
    centred: tuple[Linear, Tensor], attack: Guarded, norm: NormName, within: float
) -> None:
    model, images = centred
    logits = model(images).detach()
    labels, threat = logits.argmax(1), unlimited(norm)
    found = attack(model, images, labels, threat)
    assert is_fooled(model(found), labels).all()
    slope = (model.weight[1] - model.weight[0]).detach().norm(p=DUAL[norm])
    expected = (logits[:, 1] - logits[:, 0]).abs() / slope
    torch.testing.assert_close(threat.distance(found, images), expected, rtol=within, atol=2e-4)
    assert (threat.distance(found, images) >= expected * (1 - 1e-9)).all()


RIVALS = [
    (DDN(), "l2"),
    (FMN(), "l2"),
    (FMN(), "linf"),
    (FMN(), "l1"),
    (CarliniWagner(steps=100, searches=7, step_size=0.05), "l2"),
]


@pytest.mark.parametrize(("attack", "norm"), RIVALS, ids=str)
def test_everybody_is_fooled_at_a_mean_distance_below_deepfools(
    trained: Trained, attack: Guarded, norm: NormName
) -> None:
    model, images = trained.model, trained.images[:48]
    labels, threat = model(images).argmax(1), unlimited(norm)
    distances = []
    for each in (DeepFool(), attack):
        found = each(model, images, labels, threat)
        assert is_fooled(model(found), labels).all()
        distances.append(threat.distance(found, images).mean())
    assert distances[1] <= distances[0]


@pytest.mark.parametrize("attack", [DeepFool(), DDN(), FMN(), CarliniWagner(steps=50)], ids=str)
def test_a_find_outside_the_ball_is_cut_to_it_and_one_inside_is_whole(trained: Trained, attack: Guarded) -> None:
    model, images, labels = trained.model, trained.images[:32], trained.labels[:32]
    whole = attack(model, images, labels, unlimited("l2"))
    distance = unlimited("l2").distance(whole, images)
    threat = ThreatModel(norm="l2", eps=float(distance.median()))
    cut = attack(model, images, labels, threat)
    inside = distance <= threat.eps
    assert torch.equal(cut[inside], whole[inside])
    torch.testing.assert_close(threat.distance(cut, images)[~inside], distance[~inside].clamp_max(threat.eps))


def test_bisection_finds_the_least_eps_of_the_attack_to_its_resolution(trained: Trained) -> None:
    model, images, labels = trained.model, trained.images[:24], trained.labels[:24]
    threat, attack = ThreatModel(eps=0.4), FGSM()
    found = threat.distance(Smallest(attack=attack, steps=6)(model, images, labels, threat), images)
    grid = [ThreatModel(eps=0.4 * k / 64) for k in range(65)]
    fooled = torch.stack([is_fooled(model(attack(model, images, labels, t)), labels) for t in grid])
    # Where success is monotone in eps, bisection must give the first success of the whole grid.
    monotone = (fooled.long().diff(dim=0) >= 0).all(0) & fooled.any(0)
    first = 0.4 * fooled.long().argmax(0) / 64
    assert monotone.sum() > 8
    torch.testing.assert_close(found[monotone], first[monotone], atol=1e-5, rtol=0)


def test_fmn_looks_no_farther_than_its_best_find(centred: tuple[Linear, Tensor]) -> None:
    model, images = centred
    labels, threat = model(images).argmax(1), unlimited("l2")
    near = FMN(steps=30)(model, images, labels, threat)
    closest = Closest(model, images, labels, threat)
    closest.offer(near, model(near))
    look = input_gradient(model, near, lambda logits, part: margin(logits, labels[part]))
    far = torch.full_like(closest.distance, 10.0)
    radius = FMN()._radius(0, far, torch.ones_like(labels, dtype=torch.bool), closest, near, look)
    assert torch.equal(radius, closest.distance)
    missed = FMN()._radius(0, far, torch.zeros_like(labels, dtype=torch.bool), closest, near, look)
    torch.testing.assert_close(missed, far * 1.05)


def test_only_what_the_exact_model_confirms_is_kept(trained: Trained) -> None:
    class Sceptic(CoarseView):
        """Sees every image as class 0; its exact self sees what is there."""

        def forward(self, images: Tensor) -> Tensor:
            return torch.eye(10)[torch.zeros(len(images), dtype=torch.long)]

        def exact(self, images: Tensor) -> Tensor:
            return trained.model(images)

    images, labels = trained.images[:40], trained.labels[:40]
    wrong = is_fooled(trained.model(images), labels)
    closest = Closest(Sceptic(trained.model, trained.model), images, labels, unlimited("l2"))
    closest.offer(images, Sceptic(trained.model, trained.model)(images))
    assert torch.equal(closest.distance.isfinite(), wrong & (labels != 0))


@pytest.mark.parametrize(
    ("attack", "norm", "message"),
    [
        (DDN(), "linf", "DDN knows l2, got linf"),
        (CarliniWagner(), "linf", "CarliniWagner knows l2, got linf"),
    ],
)
def test_other_norms_are_refused(trained: Trained, attack: Guarded, norm: NormName, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        attack(trained.model, trained.images[:2], trained.labels[:2], ThreatModel(norm=norm, eps=0.5))


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_shrink_is_the_nearest_change_of_that_length(norm: NormName) -> None:
    threat = ThreatModel(norm=norm, eps=0.5)
    change = torch.randn(6, 1, 3, 3, generator=seeded(0), dtype=torch.float64)
    length = threat.distance(change, torch.zeros_like(change)) * torch.linspace(0, 1.25, 6)
    shorter = threat.shrink(change, length)
    norms = threat.distance(shorter, torch.zeros_like(change))
    assert (norms <= length + 1e-9).all()
    # The last two are allowed their whole length and more.
    torch.testing.assert_close(shorter[-2:], change[-2:])
    # No point of the ball is nearer: the rest of the change is at a right angle or more to every way further inside.
    for _ in range(50):
        other = threat.shrink(torch.randn_like(change) * 3, length)
        assert (((change - shorter) * (other - shorter)).flatten(1).sum(1) <= 1e-9).all()


@pytest.mark.parametrize("scale", [1, 1000, 10_000])
@pytest.mark.parametrize("attack", [DDN(steps=50), FMN(steps=50)], ids=repr)
def test_confident_logits_do_not_stop_the_search(attack: Guarded, scale: int, trained: Trained) -> None:
    model = Scaled(trained.model, scale)
    right = ~is_fooled(trained.model(trained.images), trained.labels)
    attacked = attack(model, trained.images[right], trained.labels[right], unlimited("l2"))
    assert is_fooled(model(attacked), trained.labels[right]).all()


class Scaled(nn.Module):
    """The same answers, more sure of themselves."""

    def __init__(self, model: nn.Module, scale: float) -> None:
        super().__init__()
        self.model, self.scale = model, scale

    def forward(self, images: Tensor) -> Tensor:
        return self.scale * self.model(images)


@pytest.mark.parametrize("attack", [DeepFool(steps=3), FAB(steps=3)], ids=repr)
def test_looking_at_a_few_images_together_changes_nothing(attack: Guarded, trained: Trained) -> None:
    sizes: list[int] = []

    class Watched(PlainView):
        def forward(self, images: Tensor) -> Tensor:
            if images.requires_grad:
                sizes.append(len(images))
            return super().forward(images)

    threat = ThreatModel(norm="l2", eps=1.0)
    whole = attack(trained.model, trained.images[:24], trained.labels[:24], threat)
    parts = attack(Watched(trained.model, chunk=5), trained.images[:24], trained.labels[:24], threat)
    torch.testing.assert_close(parts, whole)
    assert max(sizes) <= 5


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_the_nearest_boundary_need_not_be_that_of_the_likeliest_class(norm: NormName) -> None:
    flat = nn.Linear(2, 3)
    with torch.no_grad():
        # Class 1 is the likelier one, but its logit hardly moves: its boundary is ten times as far away.
        flat.weight.copy_(torch.tensor([[0.0, 0.0], [0.1, 0.0], [0.0, 2.0]]))
        flat.bias.copy_(torch.tensor([0.0, -0.1, -0.2]))
    model, images = nn.Sequential(nn.Flatten(), flat), torch.zeros(4, 1, 1, 2)
    labels, threat = torch.zeros(4, dtype=torch.int64), unlimited(norm)
    plane = nearest(model, images, labels, threat, candidates=2)
    assert torch.equal(plane.normal.flatten(1), torch.tensor([[0.0, 2.0]]).expand(4, -1))
    found = TINY_OVERSHOOT(model, images, labels, threat)
    torch.testing.assert_close(threat.distance(found, images), torch.full((4,), 0.1), rtol=1e-3, atol=0)
