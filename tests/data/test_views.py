from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from robustcnn.data.resident import ResidentDataset
from robustcnn.data.views import in_grey, only_classes, resized


def test_chosen_classes_are_relabelled_in_the_order_given(tiny: ResidentDataset) -> None:
    chosen = only_classes(tiny, ("right", "left"))
    assert chosen.classes == ("right", "left")
    assert chosen.counts.tolist() == [20, 20]
    assert torch.equal(chosen.images[chosen.labels == 0], tiny.images[tiny.labels == 2])
    assert torch.equal(chosen.images[chosen.labels == 1], tiny.images[tiny.labels == 0])


def test_classes_may_come_in_one_word_with_commas(tiny: ResidentDataset) -> None:
    assert only_classes(tiny, ("right,left",)).fingerprint == only_classes(tiny, ("right", "left")).fingerprint


def test_mistaken_classes_are_named(tiny: ResidentDataset) -> None:
    text = r"unknown class 'lefft' \(did you mean 'left'\?\); known: left, middle, right"
    with pytest.raises(ValueError, match=text):
        only_classes(tiny, ("lefft", "right"))
    with pytest.raises(ValueError, match=r"classes must name at least 2 different classes, got left$"):
        only_classes(tiny, ("left",))
    with pytest.raises(ValueError, match="classes must name at least 2 different classes, got left, left, right"):
        only_classes(tiny, ("left", "left", "right"))


@pytest.mark.parametrize("size", [5, 12, 31])
def test_resizing_agrees_with_pillow(tiny_colour: ResidentDataset, size: int) -> None:
    found = resized(tiny_colour, size)
    assert found.spec.shape == (3, size, size)
    for image, before in zip(found.images[:5], tiny_colour.images[:5], strict=True):
        picture = Image.fromarray(before.permute(1, 2, 0).numpy())
        wanted = np.asarray(picture.resize((size, size), Image.Resampling.BILINEAR)).transpose(2, 0, 1)
        assert np.abs(image.numpy().astype(int) - wanted).max() <= 1


def test_resizing_to_the_same_size_changes_nothing(tiny: ResidentDataset) -> None:
    assert resized(tiny, 12) is tiny


def test_grey_agrees_with_pillow(tiny_colour: ResidentDataset) -> None:
    found = in_grey(tiny_colour)
    assert found.spec.shape == (1, 12, 12)
    for image, before in zip(found.images[:5], tiny_colour.images[:5], strict=True):
        wanted = np.asarray(Image.fromarray(before.permute(1, 2, 0).numpy()).convert("L"))
        assert np.abs(image[0].numpy().astype(int) - wanted).max() <= 1


def test_grey_pictures_stay_as_they_are(tiny: ResidentDataset) -> None:
    assert in_grey(tiny) is tiny
