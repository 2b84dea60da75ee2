from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from robustcnn.core.runtime import seeded
from robustcnn.data.resident import ResidentDataset, as_pixels, spec_of


def labelled(counts: list[int]) -> ResidentDataset:
    """Pixel (0, 0) and (0, 1) of each image hold its own number."""
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    images = torch.zeros(len(labels), 1, 2, 2, dtype=torch.uint8)
    number = torch.arange(len(labels))
    images[:, 0, 0, 0], images[:, 0, 0, 1] = number % 256, number // 256
    names = tuple(map(str, range(len(counts))))
    return ResidentDataset(images=images, labels=labels, spec=spec_of(images, names))


def numbers(data: ResidentDataset) -> list[int]:
    return (data.images[:, 0, 0, 0].long() + 256 * data.images[:, 0, 0, 1].long()).tolist()


@given(
    counts=st.lists(st.integers(0, 60), min_size=2, max_size=6).filter(lambda counts: sum(counts) > 0),
    fraction=st.floats(0.01, 0.99),
    seed=st.integers(0, 100),
)
def test_a_split_is_stratified_to_within_one_example_and_exact_in_total(
    counts: list[int], fraction: float, seed: int
) -> None:
    data = labelled(counts)
    rest, part = data.split(fraction, generator=seeded(seed))
    assert sorted(numbers(rest) + numbers(part)) == list(range(len(data)))
    assert abs(len(part) - fraction * len(data)) <= 0.5 + 1e-6
    assert ((part.counts - fraction * data.counts).abs() < 1).all()


def test_a_split_keeps_pictures_with_their_labels_and_in_order() -> None:
    data = labelled([30, 20])
    for part in data.split(0.3, generator=seeded(1)):
        assert numbers(part) == sorted(numbers(part))
        assert part.labels.tolist() == [int(number >= 30) for number in numbers(part)]


def test_the_seed_decides_the_split() -> None:
    data = labelled([50, 50])
    first, again, other = (numbers(data.split(0.5, generator=seeded(seed))[1]) for seed in (1, 1, 2))
    assert first == again
    assert first != other


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, 2.0])
def test_a_split_must_leave_both_parts_something(fraction: float) -> None:
    with pytest.raises(ValueError, match="fraction must lie strictly between 0 and 1, got"):
        labelled([5, 5]).split(fraction, generator=seeded(0))


def test_a_sample_has_exactly_that_many_in_proportion() -> None:
    sample = labelled([300, 100]).sample(7, generator=seeded(0))
    assert len(sample) == 7
    assert sample.counts.tolist() in ([5, 2], [6, 1])
    with pytest.raises(ValueError, match=r"count must lie in 1\.\.400 .*, got 401"):
        labelled([300, 100]).sample(401, generator=seeded(0))


def test_a_subset_by_indices_and_by_number() -> None:
    data = labelled([4, 4])
    assert numbers(data.subset(torch.tensor([6, 1]))) == [6, 1]
    assert numbers(data.subset(3)) == [0, 1, 2]
    assert len(data.subset(100)) == 8


@pytest.mark.parametrize("shuffled", [False, True])
@pytest.mark.parametrize("size", [1, 7, 50, 64])
def test_batches_cover_everything_once(size: int, shuffled: bool) -> None:
    data = labelled([30, 20])
    seen, labels = [], []
    for pixels, found in data.batches(size, generator=seeded(0) if shuffled else None):
        assert pixels.dtype == torch.float32
        assert len(pixels) <= size
        seen += (pixels[:, 0, 0, 0] * 255).round().long().tolist()
        labels += found.tolist()
    assert sorted(seen) == list(range(50))
    assert (seen != sorted(seen)) == shuffled
    assert labels == [int(number >= 30) for number in seen]


def test_drop_last_leaves_out_the_short_batch_only() -> None:
    sizes = [len(labels) for _, labels in labelled([30, 20]).batches(20, drop_last=True)]
    assert sizes == [20, 20]
    assert [len(labels) for _, labels in labelled([20, 20]).batches(20, drop_last=True)] == [20, 20]


def test_a_transform_gets_uint8_and_the_generator() -> None:
    generator = seeded(0)

    def transform(images: torch.Tensor, draws: torch.Generator) -> torch.Tensor:
        assert images.dtype == torch.uint8
        assert draws is generator
        return torch.ones(images.shape)

    for pixels, _ in labelled([3, 3]).batches(4, generator=generator, transform=transform):
        assert pixels.min() == 1


def test_batches_refuse_what_cannot_work() -> None:
    with pytest.raises(ValueError, match="batch size must be at least 1, got 0"):
        next(labelled([3, 3]).batches(0))
    with pytest.raises(ValueError, match="a transform draws random numbers: pass a generator too"):
        next(labelled([3, 3]).batches(2, transform=lambda images, _: images.float()))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("dtype", "rtol"), [(torch.uint8, 1e-9), (torch.float32, 1e-6)])
def test_the_spec_has_numpys_mean_and_std(channels: int, dtype: torch.dtype, rtol: float) -> None:
    images = torch.randint(0, 256, (50, channels, 5, 7), generator=seeded(3), dtype=torch.uint8)
    images[:, 0] //= 2
    pixels = images.numpy() / 255
    spec = spec_of(images if dtype == torch.uint8 else images.to(dtype) / 255, ("a", "b"))
    assert spec.shape == (channels, 5, 7)
    np.testing.assert_allclose(spec.mean, pixels.mean((0, 2, 3)), rtol=rtol)
    np.testing.assert_allclose(spec.std, pixels.std((0, 2, 3)), rtol=rtol)


def test_pixels_are_levels_over_255_and_floats_pass() -> None:
    assert as_pixels(torch.tensor([0, 51, 255], dtype=torch.uint8)).tolist() == pytest.approx([0, 0.2, 1])
    floats = torch.rand(3)
    assert as_pixels(floats) is floats


def test_the_fingerprint_changes_with_a_pixel_a_label_the_order_and_the_names() -> None:
    data = labelled([5, 5])
    pixel, label = data.images.clone(), data.labels.clone()
    pixel[3, 0, 1, 1] += 1
    label[3] = 1
    changed = [
        replace(data, images=pixel),
        replace(data, labels=label),
        data.subset(torch.arange(9, -1, -1)),
        replace(data, spec=replace(data.spec, classes=("yes", "no"))),
    ]
    prints = {one.fingerprint for one in [data, *changed]}
    assert len(prints) == 5
    assert labelled([5, 5]).fingerprint == data.fingerprint
    assert len(data.fingerprint) == 16


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            {"images": torch.zeros(4, 1, 2, 2, dtype=torch.float64)},
            r"images must be uint8 \(or float32 in \[0, 1\]\) of shape \(N, C, H, W\), got torch.float64",
        ),
        ({"images": torch.full((4, 1, 2, 2), 7.0)}, r"float images must lie in \[0, 1\], got 7 to 7 \(divide levels"),
        ({"images": torch.full((4, 1, 2, 2), torch.nan)}, r"float images must lie in \[0, 1\], got nan to nan"),
        ({"images": torch.zeros(4, 2, 2, dtype=torch.uint8)}, r"got torch.uint8 \(4, 2, 2\)"),
        (
            {"images": torch.zeros(4, 3, 2, 2, dtype=torch.uint8)},
            r"images are \(3, 2, 2\), but the spec says \(1, 2, 2\)",
        ),
        ({"labels": torch.zeros(4, dtype=torch.int32)}, r"labels must be int64 of shape \(4,\), got torch.int32"),
        (
            {"labels": torch.zeros(3, dtype=torch.int64)},
            r"labels must be int64 of shape \(4,\), got torch.int64 \(3,\)",
        ),
        ({"labels": torch.tensor([0, 1, 2, 0])}, r"labels must lie in 0\.\.1, got 0\.\.2"),
        ({"labels": torch.tensor([0, 1, -1, 0])}, r"labels must lie in 0\.\.1, got -1\.\.1"),
    ],
)
def test_a_set_that_does_not_fit_together_is_refused(change: dict[str, torch.Tensor], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        replace(labelled([2, 2]), **change)
