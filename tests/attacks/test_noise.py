"""Noise: what is drawn, and that the worst draw is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from robustcnn.attacks.base import Guarded, is_fooled
from robustcnn.attacks.noise import CornerNoise, GaussianNoise, UniformNoise
from robustcnn.core.losses import margin
from robustcnn.core.norms import NormName
from robustcnn.core.threat import ThreatModel

if TYPE_CHECKING:
    from tests.attacks.conftest import Trained

GREY = torch.full((32, 1, 8, 8), 0.5)
LABELS = torch.zeros(32, dtype=torch.int64)


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
@pytest.mark.parametrize("attack", [GaussianNoise(), CornerNoise()], ids=str)
def test_gaussian_and_corner_noise_lie_on_the_surface(trained: Trained, attack: Guarded, norm: NormName) -> None:
    threat = ThreatModel(norm=norm, eps=0.2)
    noisy = attack(trained.model, GREY, LABELS, threat)
    torch.testing.assert_close(threat.distance(noisy, GREY), torch.full((32,), 0.2), rtol=1e-4, atol=0)


def test_corners_of_linf_are_signs_and_of_l1_single_pixels(trained: Trained) -> None:
    signs = CornerNoise()(trained.model, GREY, LABELS, ThreatModel(eps=0.2)) - GREY
    torch.testing.assert_close(signs.abs(), torch.full_like(signs, 0.2))
    assert (signs > 0).float().mean().sub(0.5).abs() < 0.05
    pixels = CornerNoise()(trained.model, GREY, LABELS, ThreatModel(norm="l1", eps=0.2)) - GREY
    assert ((pixels != 0).flatten(1).sum(1) == 1).all()


def test_uniform_noise_fills_the_ball(trained: Trained) -> None:
    change = UniformNoise()(trained.model, GREY, LABELS, ThreatModel(eps=0.2)) - GREY
    counts = torch.histc(change, bins=4, min=-0.2, max=0.2) / change.numel()
    torch.testing.assert_close(counts, torch.full((4,), 0.25), atol=0.04, rtol=0)


@pytest.mark.parametrize("kind", [UniformNoise, GaussianNoise, CornerNoise])
def test_more_draws_are_worse(trained: Trained, kind: type[UniformNoise]) -> None:
    model, images, labels = trained
    threat = ThreatModel(eps=0.25)
    one, many = (margin(model(kind(draws=n)(model, images, labels, threat)), labels) for n in (1, 30))
    assert many.mean() > one.mean() + 0.5
    assert (many > 0).sum() >= (one > 0).sum()


def test_one_lucky_draw_among_many_is_kept(trained: Trained) -> None:
    model, images, labels = trained
    threat = ThreatModel(eps=0.25)
    fooled = is_fooled(model(CornerNoise(draws=100)(model, images, labels, threat)), labels).float().mean()
    single = is_fooled(model(CornerNoise()(model, images, labels, threat)), labels).float().mean()
    assert fooled > single + 0.1


def test_an_infinite_eps_is_refused(trained: Trained) -> None:
    with pytest.raises(ValueError, match="noise needs a finite eps, got inf"):
        UniformNoise()(trained.model, GREY, LABELS, ThreatModel(norm="l2", eps=float("inf")))


def test_no_draws_are_refused() -> None:
    with pytest.raises(ValueError, match="draws must be at least 1, got 0"):
        CornerNoise(draws=0)
