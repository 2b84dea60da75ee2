"""A squeezed model hides its slope, which is not the same as being robust."""

from __future__ import annotations

import pytest
import torch
from small_digits import Digits

from robustcnn.attacks import BIM
from robustcnn.channel import jpeg
from robustcnn.core.threat import ThreatModel
from robustcnn.defences import Squeezed
from robustcnn.evaluate import evaluate
from robustcnn.models import PixelModel

THREAT = ThreatModel(eps=0.15)


def test_so_many_bits_leave_so_many_levels(plain: PixelModel) -> None:
    images = torch.linspace(0, 1, 256).view(1, 1, 16, 16)
    for bits in range(1, 9):
        levels = Squeezed(plain, bits=bits).squeeze(images).unique()
        torch.testing.assert_close(levels, torch.linspace(0, 1, 2**bits))


def test_jpeg_comes_after_the_bits(plain: PixelModel, digits: Digits) -> None:
    both = Squeezed(plain, bits=1, quality=30).squeeze(digits.images)
    torch.testing.assert_close(both, jpeg(digits.images.round(), 30))
    assert torch.equal(Squeezed(plain, quality=30).squeeze(digits.images), jpeg(digits.images, 30))


@pytest.mark.parametrize("squeeze", [{"bits": 3}, {"quality": 75}], ids=str)
def test_an_attack_gains_nothing_through_rounding_and_all_straight_through_it(
    squeeze: dict[str, int], plain: PixelModel, digits: Digits
) -> None:
    defended, seen = Squeezed(plain, **squeeze), Squeezed(plain, **squeeze, straight_through=True)
    assert torch.equal(defended(digits.images), seen(digits.images))
    assert torch.equal(BIM()(defended, digits.images, digits.labels, THREAT), digits.images)
    broken = BIM()(seen, digits.images, digits.labels, THREAT)
    clean, attacked = ((defended(each).argmax(1) == digits.labels).float().mean() for each in (digits.images, broken))
    assert clean > 0.9
    assert attacked < 0.3


def test_the_judge_and_its_fast_view_take_a_squeezed_model_as_it_is(plain: PixelModel, digits: Digits) -> None:
    data = digits.test.subset(64)
    hidden, open_ = (
        evaluate(Squeezed(plain, bits=3, straight_through=known), data, [BIM()], [THREAT]) for known in (False, True)
    )
    assert hidden.clean.accuracy == open_.clean.accuracy == hidden.threats[0].robust
    assert open_.threats[0].robust.hits < 20


def test_squeezes_that_are_none_are_refused(plain: PixelModel) -> None:
    with pytest.raises(ValueError, match=r"needs bits .* or quality .* got neither"):
        Squeezed(plain)
    with pytest.raises(ValueError, match=r"bits must lie in 1\.\.8, got 9"):
        Squeezed(plain, bits=9)
    with pytest.raises(ValueError, match=r"quality must lie in 1\.\.100, got 0"):
        Squeezed(plain, quality=0)
