"""Losses against hand-worked numbers and their own definitions."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from robustcnn.core.losses import LossName, attack_loss, cross_entropy, dlr, log_odds, margin, targeted_dlr

LOGITS = torch.tensor([[4.0, 1.0, 3.0, -2.0, 0.0], [0.0, 5.0, 1.0, 2.0, 3.0]])
LABELS = torch.tensor([0, 2])
TARGETS = torch.tensor([2, 4])


def test_the_margin_is_positive_exactly_when_fooled() -> None:
    assert margin(LOGITS, LABELS).tolist() == [-1, 4]


def test_cross_entropy_is_one_value_an_example() -> None:
    torch.testing.assert_close(cross_entropy(LOGITS, LABELS).mean(), F.cross_entropy(LOGITS, LABELS))


def test_cross_entropy_takes_probabilities_and_smooths_labels() -> None:
    soft = F.one_hot(LABELS, 5) * 0.9 + 0.1 / 5
    smoothed = cross_entropy(LOGITS, LABELS, smoothing=0.1)
    torch.testing.assert_close(smoothed, cross_entropy(LOGITS, soft))


def test_log_odds_rise_with_the_cross_entropy_in_the_same_direction() -> None:
    torch.testing.assert_close(F.softplus(log_odds(LOGITS, LABELS)), cross_entropy(LOGITS, LABELS))
    logits = LOGITS.clone().requires_grad_()
    (odds,) = torch.autograd.grad(log_odds(logits, LABELS).sum(), logits)
    (entropy,) = torch.autograd.grad(cross_entropy(logits, LABELS).sum(), logits)
    torch.testing.assert_close(F.normalize(odds), F.normalize(entropy))


def test_log_odds_have_a_slope_where_cross_entropy_has_rounded_it_away() -> None:
    sure = (50 * LOGITS[:1]).requires_grad_()
    (entropy,) = torch.autograd.grad(cross_entropy(sure, LABELS[:1]).sum(), sure)
    (odds,) = torch.autograd.grad(log_odds(sure, LABELS[:1]).sum(), sure)
    assert entropy[0, 0] == 0
    assert odds[0, 0] == -1


def test_dlr_is_the_margin_over_the_gap_from_first_to_third_logit() -> None:
    torch.testing.assert_close(dlr(LOGITS, LABELS), torch.tensor([-1 / (4 - 1), 4 / (5 - 2)]))


def test_targeted_dlr_divides_by_the_gap_to_the_middle_of_third_and_fourth() -> None:
    expected = torch.tensor([(3 - 4) / (4 - (1 + 0) / 2), (3 - 1) / (5 - (2 + 1) / 2)])
    torch.testing.assert_close(targeted_dlr(LOGITS, LABELS, TARGETS), expected)


@pytest.mark.parametrize("targets", [None, TARGETS])
def test_dlr_does_not_change_when_logits_are_scaled_or_shifted(targets: torch.Tensor | None) -> None:
    plain = attack_loss("dlr", LOGITS, LABELS, targets)
    torch.testing.assert_close(attack_loss("dlr", 1000 * LOGITS - 7, LABELS, targets), plain)


def test_equal_logits_have_a_finite_dlr() -> None:
    assert dlr(torch.zeros(2, 5), LABELS).tolist() == [0, 0]


@pytest.mark.parametrize("name", ["ce", "margin"])
def test_a_targeted_loss_is_the_plain_one_of_the_target_turned_round(name: LossName) -> None:
    plain = attack_loss(name, LOGITS, TARGETS)
    torch.testing.assert_close(attack_loss(name, LOGITS, LABELS, TARGETS), -plain)


def test_the_targeted_margin_is_positive_exactly_when_the_target_is_predicted() -> None:
    assert attack_loss("margin", LOGITS, LABELS, torch.tensor([2, 1])).tolist() == [-1, 2]


@pytest.mark.parametrize(
    ("classes", "targets", "message"),
    [
        (2, None, "dlr needs at least 3 classes, the model has 2: the margin loss is used instead"),
        (3, torch.tensor([1, 0]), "dlr towards a target needs at least 4 classes, the model has 3"),
    ],
)
def test_with_too_few_classes_for_dlr_the_margin_steps_in(
    classes: int, targets: torch.Tensor | None, message: str
) -> None:
    logits = LOGITS[:, :classes]
    labels = torch.tensor([0, 1])
    with pytest.warns(UserWarning, match=message):
        loss = attack_loss("dlr", logits, labels, targets)
    torch.testing.assert_close(loss, attack_loss("margin", logits, labels, targets))
