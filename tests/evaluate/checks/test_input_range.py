"""A model that is shown pixels where it expects normalised pictures is told apart from one that is just bad."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from robustcnn.data import ResidentDataset, load
from robustcnn.evaluate.checks.input_range import unnormalised
from robustcnn.models.normalised import Normalised


class Nearest(nn.Module):
    """The nearest class mean, of pictures as they are shown in training."""

    means: Tensor

    def __init__(self, data: ResidentDataset, mean: float, std: float) -> None:
        super().__init__()
        images = (data.images.float() / 255 - mean) / std
        self.register_buffer("means", torch.stack([images[data.labels == k].mean(0) for k in range(10)]).flatten(1))

    def forward(self, images: Tensor) -> Tensor:
        return -torch.cdist(images.flatten(1), self.means)


def test_a_model_for_normalised_pictures_is_noticed_with_the_cure() -> None:
    digits = load("digits")
    expects = Nearest(digits.train, 0.5, 0.5)
    (found,) = unnormalised(expects, digits.test)
    assert found.verdict == "warn"
    assert "it looks as if it expects normalised pictures" in found.says
    assert "--mean 0.5 --std 0.5" in found.says or "--mean 0.3" in found.says


def test_a_model_for_pixels_and_one_that_is_wrapped_are_not() -> None:
    digits = load("digits")
    assert unnormalised(Nearest(digits.train, 0.0, 1.0), digits.test) == ()
    assert unnormalised(Normalised(Nearest(digits.train, 0.5, 0.5), (0.5,), (0.5,)), digits.test) == ()


class Table(nn.Module):
    """Looks pixels up, and has no place for what is none."""

    def forward(self, images: Tensor) -> Tensor:
        levels = torch.linspace(0, 1, 6)[(5 * images).round().long()]
        return levels.flatten(1)[:, :10]


def test_a_model_that_refuses_what_is_no_pixel_is_not_asked_for_more() -> None:
    assert unnormalised(Table(), load("digits").test) == ()
