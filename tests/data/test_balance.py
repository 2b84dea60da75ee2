from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import get_args

import pytest
import torch
import torch.nn.functional as F

from robustcnn.core.runtime import seeded
from robustcnn.data.balance import (
    Balance,
    balanced,
    class_weights,
    repeat,
    repeat_noisy,
    repeat_shifted,
    undersample,
)
from robustcnn.data.resident import ResidentDataset, spec_of

ANGRY, DISGUST = 4953, 547


@pytest.fixture(scope="module")
def faces() -> ResidentDataset:
    """As many angry and disgusted faces as FER2013 has, mixed; the pixels tell which is which."""
    labels = (torch.randperm(ANGRY + DISGUST, generator=seeded(0)) < DISGUST).long()
    number = torch.arange(len(labels))
    images = torch.zeros(len(labels), 1, 6, 6, dtype=torch.uint8)
    images[:, 0, 2, 2], images[:, 0, 2, 3], images[:, 0, 3, 2] = number % 256, number // 256, 40 + 100 * labels
    return ResidentDataset(images=images, labels=labels, spec=spec_of(images, ("angry", "disgust")), name="faces")


def numbers(data: ResidentDataset) -> torch.Tensor:
    return data.images[:, 0, 2, 2].long() + 256 * data.images[:, 0, 2, 3].long()


def test_undersampling_leaves_547_and_547_of_the_same_faces(faces: ResidentDataset) -> None:
    fewer = undersample(faces, generator=seeded(0))
    assert fewer.counts.tolist() == [DISGUST, DISGUST]
    kept = numbers(fewer)
    assert len(kept.unique()) == 2 * DISGUST
    assert torch.equal(faces.labels[kept], fewer.labels)
    assert not torch.equal(kept, numbers(undersample(faces, generator=seeded(1))))


def test_repeating_makes_4953_and_4953_with_every_face_nine_or_ten_times(faces: ResidentDataset) -> None:
    more = repeat(faces, generator=seeded(0))
    assert more.counts.tolist() == [ANGRY, ANGRY]
    times = torch.bincount(numbers(more), minlength=len(faces))
    assert torch.equal(faces.labels[numbers(more)], more.labels)
    assert set(times[faces.labels == 0].tolist()) == {1}
    assert set(times[faces.labels == 1].tolist()) == {ANGRY // DISGUST, ANGRY // DISGUST + 1}


@pytest.mark.parametrize("way", [repeat, repeat_noisy, repeat_shifted])
def test_the_originals_come_first_and_untouched(faces: ResidentDataset, way: Callable[..., ResidentDataset]) -> None:
    more = way(faces, generator=seeded(0))
    assert more.counts.tolist() == [ANGRY, ANGRY]
    assert torch.equal(more.images[: len(faces)], faces.images)
    assert torch.equal(more.labels[: len(faces)], faces.labels)
    assert more.labels[len(faces) :].eq(1).all()
    assert more.spec == faces.spec


def test_noise_on_the_copies_has_the_sigma_asked_for() -> None:
    images = torch.full((201, 1, 16, 16), 128, dtype=torch.uint8)
    labels = (torch.arange(201) == 0).long()
    data = ResidentDataset(images=images, labels=labels, spec=spec_of(images, ("many", "one")))
    copies = repeat_noisy(data, sigma=0.1, generator=seeded(0)).images[201:].float()
    assert len(copies) == 199
    # Rounding to whole levels adds a variance of 1/12.
    assert copies.std().item() == pytest.approx((25.5**2 + 1 / 12) ** 0.5, rel=0.02)
    assert copies.mean().item() == pytest.approx(128, abs=0.5)


def test_every_shifted_copy_is_the_picture_moved_with_its_edge_repeated() -> None:
    picture = torch.arange(25, dtype=torch.uint8).view(1, 1, 5, 5) * 10
    images = picture.expand(60, 1, 5, 5).contiguous()
    data = ResidentDataset(images=images, labels=(torch.arange(60) == 0).long(), spec=spec_of(images, ("many", "one")))
    padded = F.pad(picture.float(), (2, 2, 2, 2), mode="replicate").to(torch.uint8)
    moves = {
        padded[0, 0, down : down + 5, across : across + 5].numpy().tobytes() for down in range(5) for across in range(5)
    }
    copies = {copy.numpy().tobytes() for copy in repeat_shifted(data, pixels=2, generator=seeded(0)).images[60:, 0]}
    assert copies <= moves
    assert len(copies) > 15


@pytest.mark.parametrize(("way", "nothing"), [(repeat_noisy, {"sigma": 0.0}), (repeat_shifted, {"pixels": 0})])
def test_no_noise_and_no_shift_is_plain_repetition(
    faces: ResidentDataset, way: Callable[..., ResidentDataset], nothing: dict[str, float]
) -> None:
    assert torch.equal(way(faces, generator=seeded(3), **nothing).images, repeat(faces, generator=seeded(3)).images)


def test_float_pictures_are_balanced_too(tiny: ResidentDataset) -> None:
    rare = tiny.subset(torch.arange(31))
    floats = replace(rare, images=rare.images / 255)
    for how in ("undersample", "repeat", "noise", "shift"):
        found = balanced(floats, how, generator=seeded(0))
        assert found.images.dtype == torch.float32
        of_levels = balanced(rare, how, generator=seeded(0)).images / 255
        torch.testing.assert_close(found.images, of_levels, atol=0.5 / 255 + 1e-6, rtol=0)


def test_colour_pictures_are_balanced_too(tiny_colour: ResidentDataset) -> None:
    rare = tiny_colour.subset(torch.arange(31))
    for how in ("undersample", "repeat", "noise", "shift"):
        found = balanced(rare, how, generator=seeded(0))
        assert len(found.counts.unique()) == 1, how
        assert found.images.shape[1:] == (3, 12, 12)


def test_class_weights_are_inverse_frequencies_with_mean_one_over_the_examples(faces: ResidentDataset) -> None:
    weights = class_weights(faces)
    torch.testing.assert_close(weights, torch.tensor([5500 / (2 * ANGRY), 5500 / (2 * DISGUST)]))
    assert weights[faces.labels].double().mean().item() == pytest.approx(1, abs=1e-6)


def test_none_and_weights_leave_the_set_alone(faces: ResidentDataset) -> None:
    assert balanced(faces, "none", generator=seeded(0)) is faces
    assert balanced(faces, "weights", generator=seeded(0)) is faces


@pytest.mark.parametrize("how", get_args(Balance))
def test_the_same_seed_balances_the_same_way(faces: ResidentDataset, how: Balance) -> None:
    first, again = (balanced(faces, how, generator=seeded(5)).fingerprint for _ in range(2))
    assert first == again


def test_a_balanced_set_stays_as_it_is(tiny: ResidentDataset) -> None:
    for how in get_args(Balance):
        assert balanced(tiny, how, generator=seeded(0)).fingerprint == tiny.fingerprint, how


def test_mistakes_are_named(tiny: ResidentDataset) -> None:
    with pytest.raises(ValueError, match=r"balance must be one of none, undersample, .*, got 'smote'"):
        balanced(tiny, "smote", generator=seeded(0))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"sigma must lie in \[0, 1\], got 8 \(did you mean 8 / 255\?\)"):
        repeat_noisy(tiny, sigma=8, generator=seeded(0))
    with pytest.raises(ValueError, match=r"pixels must lie in 0\.\.11 for 12x12 images, got 12"):
        repeat_shifted(tiny, pixels=12, generator=seeded(0))


@pytest.mark.parametrize(
    "way", [class_weights, *(lambda data, w=w: w(data, generator=seeded(0)) for w in (undersample, repeat))]
)
def test_a_class_without_examples_cannot_be_balanced(
    tiny: ResidentDataset, way: Callable[[ResidentDataset], object]
) -> None:
    with pytest.raises(ValueError, match="tiny has no examples of right: leave the class out or add some"):
        way(tiny.subset(torch.nonzero(tiny.labels < 2).squeeze(1)))
