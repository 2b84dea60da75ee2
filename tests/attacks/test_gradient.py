"""Gradient attacks against foolbox, against closed forms, and against what their fields promise."""

from __future__ import annotations

from typing import Any

import foolbox
import pytest
import torch
from torch import Tensor, nn
from victims import Linear, Trained

from robustcnn.attacks.base import Guarded
from robustcnn.attacks.gradient import BIM, FGSM, MIFGSM, PGD, RFGSM
from robustcnn.core.losses import cross_entropy
from robustcnn.core.norms import NormName
from robustcnn.core.runtime import seeded
from robustcnn.core.threat import ThreatModel
from robustcnn.fast.view import CoarseView

fb = foolbox.attacks
LINF = ThreatModel(norm="linf", eps=0.1)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (FGSM(loss="ce"), fb.LinfFastGradientAttack(random_start=False)),
        (
            BIM(loss="ce", steps=7, step_size=0.03),
            fb.LinfBasicIterativeAttack(steps=7, abs_stepsize=0.03, random_start=False),
        ),
        (
            PGD(loss="ce", steps=20, step_size=0.02, random_start=False),
            fb.LinfPGD(steps=20, abs_stepsize=0.02, random_start=False),
        ),
    ],
    ids=["fgsm", "bim", "pgd"],
)
def test_linf_attacks_equal_foolbox_bit_for_bit(ours: Guarded, theirs: Any, trained: Trained) -> None:
    wrapped = foolbox.PyTorchModel(trained.model, bounds=(0, 1), device="cpu")
    expected = theirs.run(wrapped, trained.images, trained.labels, epsilon=0.1)
    assert torch.equal(ours(trained.model, trained.images, trained.labels, LINF), expected)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (FGSM(loss="ce"), fb.L2FastGradientAttack(random_start=False)),
        (BIM(steps=7, step_size=0.1), fb.L2BasicIterativeAttack(steps=7, abs_stepsize=0.1, random_start=False)),
        (PGD(steps=10, step_size=0.05, random_start=False), fb.L2PGD(steps=10, abs_stepsize=0.05, random_start=False)),
    ],
    ids=["fgsm", "bim", "pgd"],
)
def test_l2_attacks_equal_foolbox_away_from_the_bounds(ours: Guarded, theirs: Any, trained: Trained) -> None:
    # Few steps: sooner or later a rounding error falls to the other side of a kink of the network.
    images = 0.35 + 0.3 * trained.images
    wrapped = foolbox.PyTorchModel(trained.model, bounds=(0, 1), device="cpu")
    expected = theirs.run(wrapped, images, trained.labels, epsilon=0.3)
    attacked = ours(trained.model, images, trained.labels, ThreatModel(norm="l2", eps=0.3))
    torch.testing.assert_close(attacked, expected, rtol=0, atol=1e-6)


LONG = 1e6
"""A step so long that where it started does not matter."""


@pytest.mark.parametrize(
    "attack",
    [FGSM(), RFGSM(step_size=LONG), BIM(), PGD(step_size=LONG), PGD(random_start=False, loss="margin"), MIFGSM()],
    ids=repr,
)
@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_a_linear_model_is_led_to_its_known_worst_case(attack: Guarded, norm: NormName, binary: Linear) -> None:
    threat = ThreatModel(norm=norm, eps=0.1)
    images = 0.4 + 0.1 * torch.rand(6, 16, generator=seeded(0), dtype=torch.float64)
    labels = torch.tensor([0, 1] * 3)
    attacked = attack(binary, images, labels, threat)
    gain = (1 - 2 * labels) * (binary(attacked) - binary(images)).detach().diff(dim=1).squeeze(1)
    slope = (binary.weight[1] - binary.weight[0]).detach()
    dual = {"linf": slope.abs().sum(), "l2": slope.norm(), "l1": slope.abs().amax()}[norm]
    torch.testing.assert_close(gain, (0.1 * dual).expand(6), rtol=1e-5, atol=0)


def test_the_worst_case_of_a_linear_model_with_many_classes_is_that_of_its_weakest_pair() -> None:
    weight = torch.randn(5, 16, generator=seeded(2), dtype=torch.float64)
    model = Linear(weight, -0.55 * weight.sum(1))
    images = 0.5 + 0.1 * torch.rand(20, 16, generator=seeded(0), dtype=torch.float64)
    labels = model(images).argmax(1)
    threat = ThreatModel(norm="l2", eps=0.03)
    logits = model(images).detach()
    reach = threat.eps * (weight[None] - weight[labels][:, None]).norm(dim=2)
    fooled = (logits + reach > logits.gather(1, labels[:, None]) + 1e-6).scatter(1, labels[:, None], False).any(1)
    assert fooled.any()
    assert not fooled.all()
    attacked = images
    for target in range(5):
        each = PGD(target=target, loss="margin", steps=20)(model, images, labels, threat)
        found = (model(each).argmax(1) != labels)[:, None]
        attacked = torch.where(found, each, attacked)
    assert torch.equal(model(attacked).argmax(1) != labels, fooled)


def fooled(trained: Trained, attacked: Tensor) -> Tensor:
    return trained.model(attacked).argmax(1) != trained.labels


def test_stopping_when_fooled_loses_nothing(trained: Trained) -> None:
    on, off = (BIM(steps=20, stop=stop)(*trained, LINF) for stop in (True, False))
    assert (fooled(trained, on) >= fooled(trained, off)).all()
    # Who was wrong from the start is left as it was, the rest goes as far as it must.
    wrong = fooled(trained, trained.images)
    assert wrong.any()
    assert torch.equal(on[wrong], trained.images[wrong])
    still = ~fooled(trained, on)
    assert torch.equal(on[still], off[still])


def test_stopping_saves_forward_passes(trained: Trained) -> None:
    seen = 0

    class Counting(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            nonlocal seen
            seen += len(images)
            return trained.model(images)

    threat = ThreatModel(norm="linf", eps=0.3)
    PGD(steps=20, stop=True)(Counting(), trained.images, trained.labels, threat)
    assert seen < 10 * len(trained.images)


class Alarmist(CoarseView):
    """A fast view that takes every image of class 0 for fooled; with two classes its margin has the right slope."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model, model)
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        return self.exact(images) + torch.tensor([0.0, 100.0])

    def exact(self, images: Tensor) -> Tensor:
        logits: Tensor = self.model(images)
        return logits


def test_nobody_leaves_on_the_word_of_a_fast_view(binary: Linear) -> None:
    images = torch.rand(64, 16, generator=seeded(0), dtype=torch.float64)
    images = images[binary(images).argmax(1) == 0]
    labels = torch.zeros(len(images), dtype=torch.int64)
    attack, threat = BIM(stop=True, loss="margin"), ThreatModel(norm="linf", eps=0.05)
    plain = attack(binary, images, labels, threat)
    share = (binary(plain).argmax(1) == 1).float().mean()
    assert 0.1 < share < 0.9
    assert torch.equal(attack(Alarmist(binary), images, labels, threat), plain)


def test_restarts_keep_the_worst_outcome(trained: Trained) -> None:
    def loss(attacked: Tensor) -> Tensor:
        return cross_entropy(trained.model(attacked), trained.labels).detach()

    one = RFGSM()(*trained, LINF, generator=seeded(5))
    ten = RFGSM(restarts=10)(*trained, LINF, generator=seeded(5))
    same = fooled(trained, one) == fooled(trained, ten)
    assert (fooled(trained, ten) >= fooled(trained, one)).all()
    assert (loss(ten) >= loss(one) - 1e-6)[same].all()
    assert (loss(ten) > loss(one) + 1e-3).any()


def test_the_best_of_all_images_on_the_way_is_no_better_for_the_model_than_the_last(trained: Trained) -> None:
    wild = {"steps": 9, "step_size": 0.2, "random_start": False}
    last = PGD(**wild)(*trained, LINF)
    best = PGD(**wild, best=True)(*trained, LINF)
    gain = cross_entropy(trained.model(best), trained.labels) - cross_entropy(trained.model(last), trained.labels)
    assert (gain >= -1e-6)[fooled(trained, best) == fooled(trained, last)].all()
    assert (gain > 0.01).any()


@pytest.mark.parametrize("target", ["second", "least", "random", 3])
def test_targeted_attacks_lead_to_their_target(target: Any, trained: Trained) -> None:
    threat = ThreatModel(norm="linf", eps=0.5)
    attacked = PGD(steps=30, target=target, loss="margin")(*trained, threat)
    predicted, order = trained.model(attacked).argmax(1), trained.model(trained.images).argsort(1, descending=True)
    if target == 3:
        own = trained.labels == 3
        assert torch.equal(attacked[own], trained.images[own])
        assert (predicted[~own] == 3).float().mean() > 0.9
    else:
        assert (predicted != trained.labels).float().mean() > 0.9
    right = order[:, 0] == trained.labels
    if target == "second":
        assert (predicted == order[:, 1])[right].float().mean() > 0.9
    if target == "least":
        assert (predicted == order[:, -1])[right].float().mean() > 0.8


def test_a_target_that_the_model_does_not_know_is_refused(trained: Trained) -> None:
    with pytest.raises(ValueError, match=r"target must be none, second, least, random or a class in 0\.\.9, got 10"):
        FGSM(target=10)(*trained, LINF)


class Noisy(nn.Module):
    """A linear model that hides its slope under random numbers with mean zero."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.generator = model, seeded(0)

    def forward(self, images: Tensor) -> Tensor:
        noise = torch.randn(2, images[0].numel(), generator=self.generator, dtype=images.dtype)
        logits: Tensor = self.model(images) + images.flatten(1) @ (8 * noise.T)
        return logits


def test_many_draws_see_through_a_model_that_draws_random_numbers(binary: Linear) -> None:
    images, labels = torch.full((20, 16), 0.5, dtype=torch.float64), torch.zeros(20, dtype=torch.int64)
    threat = ThreatModel(norm="l2", eps=0.1)
    worst = 0.1 * (binary.weight[1] - binary.weight[0]).detach().norm()

    def gain(draws: int) -> float:
        attacked = FGSM(eot=draws, loss="margin")(Noisy(binary), images, labels, threat)
        return float((binary(attacked) - binary(images)).detach().diff(dim=1).mean() / worst)

    assert gain(1) < 0.6
    assert gain(400) > 0.85


@pytest.mark.parametrize(("schedule", "path"), [("constant", 4.0), ("linear", 2.5), ("cosine", 2.5)])
def test_a_schedule_sets_how_far_all_steps_lead(schedule: Any, path: float, binary: Linear) -> None:
    images, labels = torch.full((1, 16), 0.5, dtype=torch.float64), torch.zeros(1, dtype=torch.int64)
    threat = ThreatModel(norm="linf", eps=0.4)
    attack = PGD(steps=4, step_size=0.01, schedule=schedule, random_start=False)
    moved = (attack(binary, images, labels, threat) - images).abs().amax()
    assert moved.item() == pytest.approx(0.01 * path)


class Bend(nn.Module):
    """The slope is (3, 1) below one half and (-1, 1) above it, in the first of two pixels."""

    def forward(self, images: Tensor) -> Tensor:
        first, second = images.flatten(1).unbind(1)
        bent = 3 * first - 4 * (first - 0.5).clamp_min(0)
        return torch.stack([torch.zeros_like(first), bent + second], 1)


def test_momentum_carries_over_a_bend_and_plain_steps_do_not() -> None:
    images, labels = torch.full((1, 2), 0.45), torch.tensor([0])
    threat = ThreatModel(norm="linf", eps=0.4)
    options = {"steps": 2, "step_size": 0.1, "loss": "margin"}
    plain = BIM(**options)(Bend(), images, labels, threat)
    carried = MIFGSM(**options)(Bend(), images, labels, threat)
    torch.testing.assert_close(plain, torch.tensor([[0.45, 0.65]]))
    # (3, 1) and (-1, 1), each divided by its mean size, add up to (0.5, 1.5).
    torch.testing.assert_close(carried, torch.tensor([[0.65, 0.65]]))


def test_nesterov_takes_the_gradient_where_the_momentum_leads() -> None:
    images, labels = torch.full((1, 2), 0.35), torch.tensor([0])
    threat = ThreatModel(norm="linf", eps=0.4)
    seen: list[float] = []
    model = Bend()
    model.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0][0, 0].item()))
    MIFGSM(steps=2, step_size=0.1, nesterov=True)(model, images, labels, threat)
    # The second step starts at 0.45; the velocity is (3, 1) divided by its mean size (Lin et al. 2020), not its sign;
    # the first entry is the look that tells how many classes there are.
    assert seen == pytest.approx([0.35, 0.35, 0.6])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PGD(steps=0), "steps must be at least 1, got 0"),
        (lambda: PGD(step_size=-0.1), "step_size must not be negative, got -0.1"),
        (lambda: PGD(restarts=2, random_start=False), "restarts must be 1 without random_start"),
        (lambda: FGSM(share=2), r"share must lie in \[0, 1\], got 2"),
        (lambda: MIFGSM(diversity=-1), r"diversity must lie in \[0, 1\], got -1"),
        (lambda: MIFGSM(momentum=-1), "momentum must not be negative, got -1"),
        (lambda: MIFGSM(translation=4), "translation must be 0 or an odd number of pixels, got 4"),
    ],
)
def test_options_that_make_no_sense_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_without_a_ball_the_step_size_must_be_given(trained: Trained) -> None:
    threat = ThreatModel(norm="l2", eps=float("inf"))
    with pytest.raises(ValueError, match="step_size must be given when eps is inf"):
        BIM()(*trained, threat)
    assert fooled(trained, BIM(step_size=1.0)(*trained, threat)).all()


@pytest.mark.parametrize("attack", [FGSM(), PGD(stop=True)], ids=repr)
def test_larger_logits_do_not_hide_a_model(attack: Guarded, trained: Trained) -> None:
    louder = nn.Sequential(trained.model, nn.Flatten(), Louder(50))
    threat = ThreatModel(norm="linf", eps=0.1)
    standing = [
        (model(attack(model, trained.images, trained.labels, threat)).argmax(1) == trained.labels).sum().item()
        for model in (trained.model, louder)
    ]
    assert abs(standing[0] - standing[1]) <= 1


class Louder(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, logits: Tensor) -> Tensor:
        return self.factor * logits
