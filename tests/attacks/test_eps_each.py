"""One attack with an eps for each example is as strong as an attack for each eps."""

from __future__ import annotations

import pytest
import torch
from victims import Linear, Trained

from robustcnn.attacks import APGD, FGSM, PGD, Smallest, UniformNoise, WorstOf, craft
from robustcnn.attacks.base import Guarded, attack_each
from robustcnn.attacks.foolbox_adapter import Foolbox
from robustcnn.core.norms import NormName
from robustcnn.core.threat import ThreatModel


@pytest.mark.parametrize(("norm", "dual"), [("linf", 1), ("l2", 2)])
@pytest.mark.parametrize("attack", [FGSM(), PGD(steps=10, random_start=False), APGD(steps=20, stop=False)], ids=repr)
def test_each_example_is_led_to_the_worst_case_of_its_own_ball(
    attack: Guarded, norm: NormName, dual: float, binary: Linear
) -> None:
    images = torch.full((5, 16), 0.5, dtype=torch.float64)
    labels, eps = torch.zeros(5, dtype=torch.int64), torch.tensor([0.0, 0.01, 0.02, 0.05, 0.1], dtype=torch.float64)
    attacked = attack(binary, images, labels, ThreatModel(norm=norm, eps=1.0).each(eps))
    slope = binary.weight[1] - binary.weight[0]
    gained = ((attacked - images) @ slope).detach()
    torch.testing.assert_close(gained, eps * slope.norm(p=dual).detach(), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("attack", [PGD(steps=5, random_start=False, stop=True), WorstOf(attacks=(FGSM(),))], ids=repr)
def test_one_call_gives_what_a_call_for_each_eps_gives(attack: Guarded, trained: Trained) -> None:
    images, labels = trained.images[:24], trained.labels[:24]
    eps = torch.tensor([0.02, 0.1, 0.3] * 8, dtype=torch.float64)
    threat = ThreatModel(norm="linf", eps=0.1)
    together = attack(trained.model, images, labels, threat.each(eps))
    for radius in (0.02, 0.1, 0.3):
        rows = (eps == radius).nonzero().flatten()
        alone = attack(trained.model, images[rows], labels[rows], ThreatModel(norm="linf", eps=radius))
        torch.testing.assert_close(together[rows], alone, rtol=0, atol=1e-5)


def test_attacks_that_take_one_eps_are_called_for_each(trained: Trained) -> None:
    attack = Foolbox(name="LinfPGD", options={"steps": 5, "rel_stepsize": 0.5, "random_start": False})
    images, labels = trained.images[:6], trained.labels[:6]
    eps = torch.tensor([0.1, 0.2] * 3, dtype=torch.float64)
    threat = ThreatModel(norm="linf", eps=0.1).each(eps)
    found = attack_each(attack, trained.model, images, labels, threat)
    assert ((found - images).flatten(1).abs().amax(1) <= eps + 1e-6).all()
    assert (found - images)[1::2].abs().max() > 0.11
    torch.testing.assert_close(craft(attack, trained.model, images, labels, threat), found)
    with pytest.raises(ValueError, match="eps must be one number here"):
        attack(trained.model, images, labels, threat)


def test_bisection_within_radii_of_their_own(trained: Trained) -> None:
    images, labels = trained.images[:16], trained.labels[:16]
    eps = torch.tensor([0.05, 0.3] * 8, dtype=torch.float64)
    threat = ThreatModel(norm="linf", eps=0.3).each(eps)
    found = Smallest(attack=FGSM(), steps=5)(trained.model, images, labels, threat)
    assert (threat.distance(found, images) <= eps * (1 + 1e-6)).all()
    noise = UniformNoise(draws=3)(trained.model, images, labels, threat)
    assert (threat.distance(noise, images) <= eps * (1 + 1e-6)).all()
