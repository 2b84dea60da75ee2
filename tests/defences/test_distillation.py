"""Distillation makes cross-entropy round to nothing, and a network no stronger."""

from __future__ import annotations

import pytest
import torch
from small_digits import Digits, Trainer
from torch import Tensor

from robustcnn.attacks import PGD
from robustcnn.core.runtime import seeded
from robustcnn.core.threat import ThreatModel
from robustcnn.defences import Distilled
from robustcnn.models import PixelModel
from robustcnn.train import Standard

THREAT = ThreatModel(eps=0.15)


def test_at_temperature_one_and_without_a_teacher_it_is_cross_entropy(plain: PixelModel, digits: Digits) -> None:
    ours, usual = (
        objective(plain, digits.images, digits.labels, seeded(0))
        for objective in (Distilled(temperature=1), Standard())
    )
    torch.testing.assert_close(ours, usual)


def test_a_teacher_that_is_its_own_student_leaves_the_entropy_of_its_answers(plain: PixelModel, digits: Digits) -> None:
    plain.train()
    given = Distilled(teacher=plain, temperature=5)(plain, digits.images, digits.labels, seeded(0))
    assert plain.training
    plain.eval()
    soft = (plain(digits.images) / 5).softmax(1)
    torch.testing.assert_close(given, torch.distributions.Categorical(soft).entropy())
    assert soft.amax(1).mean() < 0.9


def test_only_attacks_on_cross_entropy_are_stopped_by_distillation(trained: Trainer, digits: Digits) -> None:
    teacher = trained(Distilled(temperature=40))
    student = trained(Distilled(teacher=teacher, temperature=40))

    def right(images: Tensor) -> float:
        return (student(images).argmax(1) == digits.labels).float().mean().item()

    by_loss = {
        loss: right(PGD(loss=loss)(student, digits.images, digits.labels, THREAT)) for loss in ("ce", "odds", "margin")
    }
    assert right(digits.images) > 0.85
    assert student(digits.images).abs().max() > 200
    assert by_loss["ce"] > 0.4
    assert by_loss["odds"] < 0.2
    assert by_loss["margin"] < 0.2


def test_a_temperature_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="temperature must be positive, got 0"):
        Distilled(temperature=0)
