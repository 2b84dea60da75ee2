"""Rotations and shifts: the movement itself, and the attacks that choose one."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor

from robustcnn.attacks.base import is_fooled
from robustcnn.attacks.black_box import BlackBox
from robustcnn.attacks.spatial import SpatialGradient, SpatialGrid, turn_and_shift
from robustcnn.core.losses import margin
from robustcnn.core.threat import ThreatModel

if TYPE_CHECKING:
    from tests.attacks.conftest import Trained

THREAT = ThreatModel()


def movement(degrees: float = 0, right: float = 0, down: float = 0) -> dict[str, Tensor]:
    return {"degrees": torch.tensor([degrees]), "right": torch.tensor([right]), "down": torch.tensor([down])}


def test_a_quarter_turn_is_rot90() -> None:
    image = torch.rand(1, 3, 9, 9)
    turned = turn_and_shift(image, **movement(degrees=90), padding="zeros")
    torch.testing.assert_close(turned, image.rot90(1, (2, 3)), atol=1e-5, rtol=0)


def test_a_shift_by_whole_pixels_moves_them_right_and_down() -> None:
    image = torch.rand(1, 3, 8, 10)
    moved = turn_and_shift(image, **movement(right=0.2, down=0.125), padding="zeros")
    torch.testing.assert_close(moved[:, :, 1:, 2:], image[:, :, :-1, :-2], atol=1e-5, rtol=0)
    assert moved[:, :, 0].abs().max() < 1e-4
    assert moved[:, :, :, :2].abs().max() < 1e-4


def test_turning_an_oblong_image_keeps_circles_round() -> None:
    rows, columns = torch.meshgrid(torch.arange(20) - 9.5, torch.arange(40) - 19.5, indexing="ij")
    disc = ((rows.square() + columns.square()).sqrt() < 7).float()[None, None]
    turned = turn_and_shift(disc, **movement(degrees=33), padding="zeros")
    assert (turned - disc).abs().mean() < 0.02


def test_the_shift_comes_after_the_turn() -> None:
    image = torch.rand(1, 1, 16, 16)
    together = turn_and_shift(image, **movement(degrees=90, right=0.25), padding="zeros")
    turned = turn_and_shift(image, **movement(degrees=90), padding="zeros")
    apart = turn_and_shift(turned, **movement(right=0.25), padding="zeros")
    torch.testing.assert_close(together, apart, atol=1e-5, rtol=0)


def test_the_grid_finds_the_worst_of_its_movements(trained: Trained) -> None:
    model, images, labels = trained.model, trained.images[:32], trained.labels[:32]
    attack = SpatialGrid(max_degrees=20, max_shift=0.125, rotations=5, shifts=3)
    found = margin(model(attack(model, images, labels, THREAT)), labels)
    worst = margin(model(images), labels)
    for degrees in (-20, -10, 0, 10, 20):
        for right in (-0.125, 0, 0.125):
            for down in (-0.125, 0, 0.125):
                each = {name: value.expand(32) for name, value in movement(degrees, right, down).items()}
                worst = worst.maximum(margin(model(turn_and_shift(images, **each, padding="zeros")), labels))
    assert torch.equal(found > 0, worst > 0)
    torch.testing.assert_close(found[worst <= 0], worst[worst <= 0], atol=1e-4, rtol=1e-4)


def test_the_gradient_beats_random_movements_at_equal_cost(trained: Trained) -> None:
    model, images, labels = trained
    climbed, drawn = (
        is_fooled(model(attack(model, images, labels, THREAT)), labels).float().mean()
        for attack in (
            SpatialGradient(steps=9, restarts=1, max_degrees=25, max_shift=0.1),
            SpatialGradient(steps=1, restarts=1, step_size=0, max_degrees=25, max_shift=0.1),
        )
    )
    assert climbed > drawn + 0.1


@pytest.mark.parametrize("attack", [SpatialGrid(rotations=3, shifts=3), SpatialGradient(steps=2, restarts=1)], ids=str)
def test_no_budget_and_the_image_stays(trained: Trained, attack: SpatialGrid | SpatialGradient) -> None:
    still = type(attack)(max_degrees=0, max_shift=0)
    attacked = still(trained.model, trained.images, trained.labels, THREAT)
    torch.testing.assert_close(attacked, trained.images, atol=1e-5, rtol=0)
    assert not attack.in_ball


@pytest.mark.parametrize("attack", [SpatialGrid(rotations=3, shifts=3), SpatialGradient(steps=2, restarts=2)], ids=str)
def test_all_is_left_as_it_was_and_a_seed_fixes_the_answer(
    trained: Trained, attack: SpatialGrid | SpatialGradient
) -> None:
    model, images, labels = deepcopy(trained.model).train(), trained.images, trained.labels
    model.zero_grad(set_to_none=True)
    before, copy = {name: value.clone() for name, value in model.state_dict().items()}, images.clone()
    with torch.no_grad():
        first, second = (
            attack(model, images, labels, THREAT, generator=torch.Generator().manual_seed(7)) for _ in range(2)
        )
    assert torch.equal(first, second)
    assert torch.equal(images, copy)
    assert not first.requires_grad
    assert first.min() >= 0
    assert first.max() <= 1
    assert all(module.training for module in model.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())


def test_the_grid_needs_no_gradient(trained: Trained) -> None:
    victim = BlackBox(lambda images: trained.model(images).detach().numpy())
    attacked = SpatialGrid(rotations=7, shifts=3)(victim, trained.images, trained.labels, THREAT)
    assert is_fooled(victim(attacked), trained.labels).float().mean() > 0.3


def test_a_shift_in_pixels_is_refused() -> None:
    with pytest.raises(ValueError, match=r"max_shift must lie in \[0, 1\), a share of the image's side, got 3"):
        SpatialGrid(max_shift=3)


@pytest.mark.parametrize("attack", [SpatialGrid(rotations=3, shifts=3), SpatialGradient(steps=2)], ids=repr)
def test_images_made_under_inference_mode_are_turned_too(
    trained: Trained, attack: SpatialGrid | SpatialGradient
) -> None:
    with torch.inference_mode():
        images = trained.images + 0
        attacked = attack(trained.model, images, trained.labels, THREAT)
    assert torch.equal(attacked, attack(trained.model, trained.images, trained.labels, THREAT))
