"""Several views of a picture, one answer."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from robustcnn.models.many_views import ManyViews


class Corner(nn.Module):
    """Two logits: 0 and how bright the upper left pixel is."""

    def forward(self, images: Tensor) -> Tensor:
        bright = images[:, 0, 0, 0]
        return torch.stack([torch.zeros_like(bright), bright], 1)


def test_a_mirrored_test_does_not_tell_a_picture_from_its_mirror() -> None:
    images, model = torch.rand(3, 1, 6, 6), ManyViews(Corner())
    torch.testing.assert_close(model(images), model(images.flip(3)))


def test_the_answer_is_the_mean_probability() -> None:
    images = torch.zeros(1, 1, 4, 4)
    images[0, 0, 0, 0] = 2.0
    expected = (torch.tensor([0.0, 2.0]).softmax(0) + torch.tensor([0.0, 0.0]).softmax(0)) / 2
    torch.testing.assert_close(ManyViews(Corner())(images).exp()[0], expected)


def test_ten_crops_see_the_picture_moved_to_four_corners() -> None:
    images = torch.arange(25.0).view(1, 1, 5, 5) / 25
    seen: list[float] = []

    class Noting(Corner):
        def forward(self, images: Tensor) -> Tensor:
            seen.append(round(25 * images[0, 0, 0, 0].item()))
            return super().forward(images)

    ManyViews(Noting(), shift=1)(images)
    # The middle; then what the upper left pixel is once the frame has gone up-left, up-right, down-left, down-right.
    assert seen[::2] == [0, 0, 1, 5, 6]
    assert len(seen) == 10


def test_a_negative_shift_is_refused() -> None:
    with pytest.raises(ValueError, match="shift must not be negative, got -1"):
        ManyViews(Corner(), shift=-1)
