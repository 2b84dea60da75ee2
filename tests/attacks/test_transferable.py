"""Input diversity and translation invariance: what they do to an image and to a gradient."""

from __future__ import annotations

import pytest
import torch
from victims import Trained

from robustcnn.attacks.gradient import MIFGSM
from robustcnn.attacks.transferable import diversify, smooth
from robustcnn.core.runtime import seeded
from robustcnn.core.threat import ThreatModel


def test_diversity_shrinks_and_shifts_the_chosen_share_of_the_images() -> None:
    images = torch.ones(400, 1, 20, 20)
    seen = diversify(images, seeded(0), probability=0.3)
    area = seen.mean(dim=(1, 2, 3))
    assert (area < 0.999).float().mean().item() == pytest.approx(0.3, abs=0.08)
    # Shrunk by at most a tenth in each direction, and black beside it.
    assert area.min() > 0.9**2 - 0.02
    centre = (seen * torch.arange(20.0)).sum(dim=(1, 2, 3)) / seen.sum(dim=(1, 2, 3))
    assert centre.min() < 9.2
    assert centre.max() > 9.8
    assert torch.equal(diversify(images, seeded(0), probability=0.0), images)


def test_diversity_lets_the_gradient_through() -> None:
    images = torch.rand(4, 3, 8, 8, generator=seeded(0)).requires_grad_()
    diversify(images, seeded(1), probability=1.0).sum().backward()
    assert (images.grad != 0).flatten(1).any(1).all()


def test_smoothing_spreads_a_single_slope_into_a_bell_of_the_same_sum() -> None:
    gradient = torch.zeros(1, 2, 9, 9)
    gradient[0, 0, 4, 4] = 1
    bell = smooth(gradient, 5)
    assert bell[0, 0].sum().item() == pytest.approx(1)
    assert bell[0, 0, 4, 4] == bell.max()
    torch.testing.assert_close(bell[0, 0], bell[0, 0].T)
    assert (bell[0, 0] != 0).sum() == 25
    assert not bell[0, 1].any()


def test_the_variants_still_fool_the_model_they_were_made_on(trained: Trained) -> None:
    threat = ThreatModel(norm="linf", eps=0.3)
    for attack in (MIFGSM(diversity=0.7), MIFGSM(translation=3), MIFGSM(nesterov=True, diversity=0.5, stop=True)):
        attacked = attack(*trained, threat)
        assert (trained.model(attacked).argmax(1) != trained.labels).float().mean() > 0.7, attack
