"""The linear explanation, held against a model that is linear, where all is known."""

from __future__ import annotations

import pytest
import torch
from onlooker import SPEC, STD, linear, weights
from torch import nn

from robustcnn.evaluate.linear_explanation import (
    error_along,
    logits_along,
    sign_agreement,
    sign_direction,
    straightness,
)

EPS = (-0.1, -0.05, 0.0, 0.05, 0.1)
IMAGES = torch.rand(6, *SPEC.shape, generator=torch.Generator().manual_seed(0))


def test_of_two_likely_classes_the_direction_is_the_sign_of_their_difference() -> None:
    labels = torch.tensor([1] * 6)
    assert torch.equal(sign_direction(linear(), IMAGES, labels), -weights().sign().expand(6, -1, -1, -1))


def test_logits_of_a_linear_model_are_straight_lines_of_known_slope() -> None:
    direction = -weights().sign().expand(6, -1, -1, -1)
    logits = logits_along(linear(), IMAGES, direction, EPS)
    slope = -(weights() / torch.tensor(STD)[:, None, None]).abs().sum()
    expected = linear()(IMAGES)[:, 1] + torch.tensor(EPS)[:, None] * slope
    torch.testing.assert_close(logits[:, :, 1], expected)
    torch.testing.assert_close(straightness(logits, EPS), torch.ones(6, 3, dtype=torch.float64))


def test_a_parabola_is_not_straight() -> None:
    steps = torch.tensor(EPS)[:, None, None]
    assert straightness(steps.square(), EPS).item() == pytest.approx(0)
    assert 0.5 < straightness(steps + 5 * steps.square(), EPS).item() < 1


def test_errors_come_where_the_lines_cross() -> None:
    labels = torch.tensor([1] * 6)
    direction = -weights().sign().expand(6, -1, -1, -1)
    lead = linear()(IMAGES)[:, 1]
    slope = (weights() / torch.tensor(STD)[:, None, None]).abs().sum()
    expected = [float((lead - eps * slope < 0).double().mean()) for eps in EPS]
    assert error_along(linear(), IMAGES, labels, direction, EPS) == tuple(expected)
    assert expected[-1] > 0


def test_agreement_counts_pixels_where_both_have_a_sign() -> None:
    first = torch.tensor([[1.0, -2.0, 0.0, 3.0], [0.0, 0.0, 1.0, 1.0]])
    second = torch.tensor([[2.0, 1.0, 5.0, 1.0], [1.0, 1.0, 0.0, 0.0]])
    assert sign_agreement(first, second).tolist() == pytest.approx([2 / 3, 0.0])
    assert sign_agreement(first, first).tolist() == [1.0, 1.0]


def test_modes_and_weights_are_left_as_they_were() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(192, 3)).train()
    sign_direction(model, IMAGES, torch.zeros(6, dtype=torch.long))
    logits_along(model, IMAGES, IMAGES, EPS)
    assert all(module.training for module in model.modules())
    assert all(each.grad is None and each.requires_grad for each in model.parameters())
