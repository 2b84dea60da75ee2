"""Drawn faces and their points."""

from __future__ import annotations

import pytest
import torch

from robustcnn import load
from robustcnn.data.sets.drawn_faces import MIRRORED, MOODS, POINTS, draw_faces


def test_the_same_seed_draws_the_same_faces_and_another_one_others() -> None:
    first, again, other = (draw_faces(5, size=48, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(first.images, again.images)
    assert not torch.equal(first.images, other.images)


def test_every_point_lies_in_the_picture_and_nearly_all_pupils_on_ink() -> None:
    faces = draw_faces(200)
    assert faces.points.min() > 0
    assert faces.points.max() < 96
    across, down = faces.points[:, 0].round().long().unbind(1)
    inked = faces.images[torch.arange(200), 0, down, across].float()
    ratio = inked / faces.images.float().amax((1, 2, 3))
    assert ratio.mean() < 0.4
    assert (ratio < 0.65).double().mean() > 0.95


def test_the_happy_have_their_mouth_corners_up_and_the_sad_down() -> None:
    faces = draw_faces(400)
    lips = faces.points[:, [POINTS.index(f"mouth_center_{side}_lip") for side in ("top", "bottom")], 1].mean(1)
    corners = faces.points[:, [POINTS.index(f"mouth_{side}_corner") for side in ("left", "right")], 1].mean(1)
    up = lips - corners
    assert (up[faces.moods == MOODS.index("happy")] > 0).all()
    assert (up[faces.moods == MOODS.index("sad")] < 0).all()


def test_mirroring_twice_is_nothing_and_exchanges_left_and_right() -> None:
    assert [MIRRORED[index] for index in MIRRORED] == list(range(15))
    assert POINTS[MIRRORED[POINTS.index("left_eye_center")]] == "right_eye_center"
    assert POINTS[MIRRORED[POINTS.index("mouth_center_top_lip")]] == "mouth_center_top_lip"


def test_faces_are_a_data_set_of_seven_moods() -> None:
    train, validation, test = load("faces", drawn=60)
    assert train.spec.shape == (1, 48, 48)
    assert train.classes == MOODS
    assert (len(train) + len(validation), len(test)) == (60, 12)


def test_too_few_pixels_are_refused() -> None:
    with pytest.raises(ValueError, match="size at least 24 pixels, got 3 and 10"):
        draw_faces(3, size=10)
