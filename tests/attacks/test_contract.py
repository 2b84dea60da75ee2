"""The one contract that every attack signs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from victims import Trained

from robustcnn.attacks.autopgd import APGD
from robustcnn.attacks.base import Attack, Guarded, is_fooled
from robustcnn.attacks.bisection import Smallest
from robustcnn.attacks.deepfool import DeepFool
from robustcnn.attacks.ensemble import WorstOf
from robustcnn.attacks.fab import FAB
from robustcnn.attacks.foolbox_adapter import Foolbox
from robustcnn.attacks.gradient import BIM, FGSM, MIFGSM, PGD, RFGSM
from robustcnn.attacks.minimal import FMN
from robustcnn.attacks.noise import CornerNoise, GaussianNoise, UniformNoise
from robustcnn.attacks.square import Square
from robustcnn.attacks.staged import NearestTargets, StagedPGD
from robustcnn.attacks.swift import Swift
from robustcnn.attacks.through import Through
from robustcnn.attacks.universal import Universal
from robustcnn.channel import Photo
from robustcnn.core.losses import is_right
from robustcnn.core.runtime import seeded
from robustcnn.core.threat import ThreatModel

THREATS = {
    "linf": ThreatModel(norm="linf", eps=0.15),
    "l2": ThreatModel(norm="l2", eps=1),
    "l1": ThreatModel(norm="l1", eps=4),
}
EVERY = tuple(THREATS)
ATTACKS_UNDER_CONTRACT: list[tuple[Attack, tuple[str, ...]]] = [
    (FGSM(), EVERY),
    (RFGSM(), EVERY),
    (BIM(), EVERY),
    (MIFGSM(), EVERY),
    (MIFGSM(nesterov=True, diversity=0.5, translation=3, stop=True), ("linf",)),
    (PGD(steps=10), EVERY),
    (PGD(steps=10, restarts=2, stop=True, loss="dlr", schedule="cosine"), EVERY),
    (PGD(steps=10, best=True, target="second"), EVERY),
    (APGD(steps=10), EVERY),
    (APGD(steps=10, stop=False, restarts=2), EVERY),
    (APGD(steps=5, loss="dlr", targets=3), EVERY),
    (FAB(steps=5), EVERY),
    (FAB(steps=3, targets=3, restarts=2, stop=True), EVERY),
    (Square(queries=50), ("linf", "l2")),
    (StagedPGD(steps=6), EVERY),
    (NearestTargets(steps=5, restarts=2), EVERY),
    (Swift(effort=0.1, sentinel=0), EVERY),
    (DeepFool(), EVERY),
    (FMN(steps=30), EVERY),
    (Smallest(attack=FGSM(), steps=3), EVERY),
    (WorstOf(attacks=(UniformNoise(), PGD(steps=5))), EVERY),
    (Universal(epochs=5), EVERY),
    (Through(attack=PGD(steps=5), channel=Photo(strength=0.2), draws=2), EVERY),
    (UniformNoise(draws=30), EVERY),
    (GaussianNoise(draws=30), EVERY),
    (CornerNoise(draws=30), EVERY),
    (Foolbox(name="LinfPGD", options={"steps": 5}), ("linf",)),
]
"""An attack and the norms it is made for."""

CASES = [
    pytest.param(attack, THREATS[norm], id=f"{attack!r}-{norm}")
    for attack, norms in ATTACKS_UNDER_CONTRACT
    for norm in norms
]
every_case = pytest.mark.parametrize(("attack", "threat"), CASES)
every_attack = pytest.mark.parametrize("attack", [attack for attack, _ in ATTACKS_UNDER_CONTRACT], ids=repr)


@pytest.fixture
def few(trained: Trained) -> Trained:
    return Trained(trained.model, trained.images[:24].clone(), trained.labels[:24].clone())


@every_case
def test_the_answer_lies_in_the_ball_and_the_bounds(attack: Attack, threat: ThreatModel, few: Trained) -> None:
    attacked = attack(*few, threat, generator=seeded(1))
    assert attacked.shape == few.images.shape
    assert attacked.dtype == few.images.dtype
    assert not attacked.requires_grad
    assert (threat.distance(attacked.double(), few.images.double()) <= threat.eps * (1 + 1e-6)).all()
    assert attacked.min() >= 0
    assert attacked.max() <= 1


@every_case
def test_an_attack_beats_noise_of_its_size(attack: Attack, threat: ThreatModel, trained: Trained) -> None:
    noisy = threat.sample(trained.images, seeded(0), surface=True)
    attacked = attack(*trained, threat)
    wrong, wrong_by_chance = (
        (trained.model(images).argmax(1) != trained.labels).sum().item() for images in (attacked, noisy)
    )
    assert wrong > wrong_by_chance


@every_case
def test_the_same_seed_gives_the_same_answer(attack: Attack, threat: ThreatModel, few: Trained) -> None:
    torch.manual_seed(1)
    first = attack(*few, threat, generator=seeded(7))
    torch.manual_seed(2)
    assert torch.equal(attack(*few, threat, generator=seeded(7)), first)
    assert torch.equal(attack(*few, threat), attack(*few, threat))


@pytest.fixture
def busy(few: Trained) -> Iterator[Trained]:
    """The network in the middle of training: modes mixed, gradients on its weights, one of them frozen."""
    first, *_ = few.model.parameters()
    few.model.train()
    few.model[6].eval()
    for weight in few.model.parameters():
        weight.grad = torch.ones_like(weight)
    first.requires_grad_(False)
    yield few
    few.model.eval().zero_grad(set_to_none=True)
    first.requires_grad_(True)


def state(model: nn.Module) -> list[object]:
    tensors = [*model.parameters(), *model.buffers(), *(weight.grad for weight in model.parameters())]
    return [
        [module.training for module in model.modules()],
        [weight.requires_grad for weight in model.parameters()],
        [tensor.tolist() for tensor in tensors if tensor is not None],
    ]


@every_attack
def test_model_inputs_and_global_random_numbers_are_left_as_they_were(attack: Attack, busy: Trained) -> None:
    before, images, labels = state(busy.model), busy.images.clone(), busy.labels.clone()
    random_before = torch.get_rng_state()
    attack(*busy, THREATS["linf"])
    assert state(busy.model) == before
    assert torch.equal(busy.images, images)
    assert torch.equal(busy.labels, labels)
    assert torch.equal(torch.get_rng_state(), random_before)


@every_attack
def test_the_mode_of_the_model_does_not_matter(attack: Attack, few: Trained) -> None:
    quiet = attack(*few, THREATS["linf"])
    few.model.train()
    try:
        assert torch.equal(attack(*few, THREATS["linf"]), quiet)
    finally:
        few.model.eval()


@every_attack
@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_a_caller_without_gradients_gets_the_same_answer(attack: Attack, context: type, few: Trained) -> None:
    expected = attack(*few, THREATS["linf"])
    with context():
        found = attack(few.model, few.images.clone(), few.labels.clone(), THREATS["linf"])
    assert torch.equal(found, expected)


@every_attack
def test_eps_0_gives_the_images_back(attack: Attack, few: Trained) -> None:
    attacked = attack(*few, replace(THREATS["linf"], eps=0))
    assert torch.equal(attacked, few.images)
    assert attacked.data_ptr() != few.images.data_ptr()


@every_attack
def test_an_empty_batch_is_answered_with_one(attack: Attack, few: Trained) -> None:
    assert attack(few.model, few.images[:0], few.labels[:0], THREATS["linf"]).shape == (0, 1, 8, 8)


@every_attack
def test_doubles_stay_doubles(attack: Attack, few: Trained) -> None:
    few.model.double()
    try:
        attacked = attack(few.model, few.images.double(), few.labels, THREATS["linf"])
    finally:
        few.model.float()
    assert attacked.dtype == torch.float64


@every_attack
def test_an_attack_is_known_by_what_is_unusual_about_it(attack: Attack) -> None:
    assert eval(repr(attack)) == attack  # noqa: S307


def refused(model: nn.Module, images: Tensor, labels: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FGSM()(model, images, labels, THREATS["linf"])


def test_batches_that_no_attack_can_work_on_are_refused(few: Trained) -> None:
    model, images, labels = few
    refused(model, (255 * images).byte(), labels, r"images must be float pixels in \[0, 1\], got torch.uint8 \(divide")
    refused(model, 255 * images, labels, r"images must lie in \[0, 1\], got values in \[0, 255\] \(divide by 255\)")
    refused(model, images - 0.5, labels, r"got values in \[-0.5, 0.5\] \(leave normalisation to the model\)")
    refused(model, images / 0, labels, "images must lie in")
    refused(model, images, labels[:3], r"labels must be int64 of shape \(N,\) .* got torch.int64 \(3,\)")
    refused(model, images, labels.int(), r"labels must be int64 of shape \(N,\) .* got torch.int32 \(24,\)")
    refused(model, images, labels + 5, r"labels must lie in 0\.\.9, one of the model's 10 classes, got 5\.\.14")
    refused(nn.Flatten(0), images, labels, r"model must return logits \(N, K\) with K >= 2, got \(64,\)")


class Blind(nn.Module):
    """A model whose answer has no slope."""

    def __init__(self, model: nn.Module, *, counts: bool) -> None:
        super().__init__()
        self.model, self.counts = model, counts

    def forward(self, images: Tensor) -> Tensor:
        if self.counts:
            return torch.bincount((4 * images).flatten().long(), minlength=10).float().expand(len(images), -1)
        with torch.no_grad():
            logits: Tensor = self.model(images)
            return logits


@pytest.mark.parametrize("counts", [True, False])
@pytest.mark.parametrize("attack", [FGSM(), PGD(), APGD()], ids=repr)
def test_gradient_attacks_refuse_a_model_without_gradient(attack: Guarded, counts: bool, few: Trained) -> None:
    with pytest.raises(ValueError, match=r"cannot be differentiated .* use the black-box attacks \(Square, noise\)"):
        attack(Blind(few.model, counts=counts), few.images, few.labels, THREATS["linf"])


def test_slopes_that_are_infinite_or_no_number_leave_finite_images(few: Trained) -> None:
    class Root(nn.Module):
        """Adds 0 to one pixel, with an infinite slope, and 0 to another, with a slope that is no number."""

        def forward(self, images: Tensor) -> Tensor:
            nothing = (images - images.detach()).sqrt()
            return few.model(images + nothing * torch.eye(8) + 0 * nothing)

    attacked = PGD(steps=3, random_start=False)(Root(), few.images, few.labels, THREATS["l2"])
    assert attacked.isfinite().all()
    assert not torch.equal(attacked, few.images)


def test_no_number_is_a_wrong_answer_whatever_the_label() -> None:
    logits = torch.tensor([[torch.nan, 0.0], [0.0, torch.nan], [torch.inf, 0.0], [1.0, -torch.inf], [-torch.inf] * 2])
    for label in (0, 1):
        labels = torch.full((5,), label)
        assert is_fooled(logits, labels).tolist() == [True, True, True, label == 1, True]
        assert (is_fooled(logits, labels) == ~is_right(logits, labels)).all()
