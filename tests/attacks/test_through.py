"""Attacks through a channel: the mean slope, known where it can be worked out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor

from robustcnn.attacks.autopgd import APGD
from robustcnn.attacks.gradient import FGSM, PGD
from robustcnn.attacks.through import Through
from robustcnn.channel import Photo
from robustcnn.core.runtime import seeded
from robustcnn.core.threat import ThreatModel

if TYPE_CHECKING:
    from tests.attacks.conftest import Linear, Trained

THREAT = ThreatModel(eps=0.05)


def half_missing(images: Tensor, *, generator: torch.Generator) -> Tensor:
    """Every pixel is there or black, with even odds."""
    return images * (torch.rand(images.shape, generator=generator) < 0.5)


def mirrored(images: Tensor, *, generator: torch.Generator) -> Tensor:
    return images.flip(-1)


def change(attack: Through | FGSM, model: Linear) -> Tensor:
    images, labels = torch.full((6, 1, 4, 4), 0.5, dtype=torch.float64), torch.tensor([0, 1] * 3)
    return attack(model, images, labels, THREAT, generator=seeded(0)) - images


def test_a_mirror_on_the_way_mirrors_the_attack(binary: Linear) -> None:
    expected = change(FGSM(), binary).flip(-1)
    torch.testing.assert_close(change(Through(attack=FGSM(), channel=mirrored, draws=1), binary), expected)


def test_one_draw_moves_what_it_sees_and_many_draws_move_all(binary: Linear) -> None:
    known = change(FGSM(), binary)
    one, many = (change(Through(attack=FGSM(), channel=half_missing, draws=draws), binary) for draws in (1, 40))
    assert 0.3 < (one == 0).double().mean() < 0.7
    torch.testing.assert_close(many, known)


@pytest.mark.parametrize("attack", [FGSM(), PGD(steps=10), APGD(steps=10, stop=False)], ids=repr)
def test_knowing_the_photo_helps_on_other_photos(attack: FGSM | PGD | APGD, trained: Trained) -> None:
    model, images, labels = trained
    channel = Photo(shrink=0.5, blur=0.08, parts=("resize", "blur", "perspective"))
    threat = ThreatModel(eps=0.15)

    def right(attacked: Tensor) -> float:
        with torch.no_grad():
            answers = [model(channel(attacked, generator=seeded(100 + n))).argmax(1) for n in range(5)]
        return (torch.stack(answers) == labels).double().mean().item()

    blind = attack(model, images, labels, threat, generator=seeded(0))
    knowing = Through(attack=attack, channel=channel, draws=4)(model, images, labels, threat, generator=seeded(0))
    assert right(knowing) < right(blind)


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="draws must be at least 1, got 0"):
        Through(draws=0)
    with pytest.raises(ValueError, match=r"one lucky draw is no success: PGD\(stop=True\) needs stop=False"):
        Through(attack=PGD(stop=True))
