"""The success of a sticker is counted on views in which the bare sign is recognised."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from robustcnn.attacks.sticker import Sticker
from robustcnn.evaluate.stickers import sticker_score


class Levels(nn.Module):
    """Class 0, 1 or 2 by the mean: below a third, below two thirds, or above."""

    def forward(self, images: Tensor) -> Tensor:
        level = images.mean((1, 2, 3))
        return -torch.stack([(level - centre).abs() for centre in (1 / 6, 1 / 2, 5 / 6)], 1)


def sometimes_blind(images: Tensor, *, generator: torch.Generator) -> Tensor:
    """A third of the views is black and a third is white, whatever is on the sign."""
    luck = torch.rand(len(images), 1, 1, 1, generator=generator)
    return (images * (luck > 1 / 3) + (luck > 2 / 3).float()).clamp(0, 1)


def test_views_without_recognition_do_not_count() -> None:
    sign, mask = torch.full((1, 1, 4, 4), 0.5), torch.ones(1, 1, 4, 4)
    sticker = Sticker(colours=torch.ones(1, 1, 4, 4), mask=mask)
    score = sticker_score(Levels(), sticker, sign, label=1, target=2, channel=sometimes_blind, views=300, batch_size=70)
    assert 0.22 < (score.clean.value or 0) < 0.45
    assert score.targeted.hits == score.targeted.count == score.clean.hits
    assert score.fooled == score.targeted


def test_another_class_than_the_target_is_fooled_but_not_targeted() -> None:
    sign = torch.full((2, 1, 4, 4), 0.5)
    sticker = Sticker(colours=torch.zeros(1, 1, 4, 4), mask=torch.ones(1, 1, 4, 4))
    score = sticker_score(Levels(), sticker, sign, label=1, target=2, channel=sometimes_blind, views=31)
    assert score.targeted.hits == 0
    assert score.fooled.hits == score.clean.hits > 0
