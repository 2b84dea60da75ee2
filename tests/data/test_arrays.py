from __future__ import annotations

import numpy as np
import pytest
import torch

from robustcnn.data.arrays import PixelFormat, unrolled

LEVELS = np.arange(2 * 3 * 4 * 5, dtype=np.uint8).reshape(2, 3, 4, 5)


def read(images: object, **options: object) -> torch.Tensor:
    rows, found = unrolled(images)
    return PixelFormat.of(rows, found, **options).pixels(rows, found)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (LEVELS, LEVELS),
        (LEVELS.transpose(0, 2, 3, 1), LEVELS),
        (LEVELS[:, 0], LEVELS[:, :1]),
        (LEVELS[:, 0, :, :, None], LEVELS[:, :1]),
        (LEVELS.tolist(), LEVELS),
        (torch.tensor(LEVELS), LEVELS),
        (LEVELS.transpose(0, 1, 3, 2)[..., :3], LEVELS.transpose(0, 1, 3, 2)[..., :3]),
    ],
    ids=["NCHW", "NHWC", "NHW", "NHW1", "lists", "tensor", "3 channels first and 3 columns"],
)
def test_every_layout_becomes_channels_first(images: object, expected: np.ndarray) -> None:
    rows, found = unrolled(images)
    assert rows.shape == (2, expected[0].size)
    assert found == expected.shape[1:]
    np.testing.assert_array_equal(np.reshape(rows, (-1, *found)), expected)


@pytest.mark.parametrize("shape", [(2, 5, 6, 4), (2, 2, 8, 8), (2, 1, 1, 8, 8)])
def test_other_layouts_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"must have the shape \(n, C, H, W\), .* with 1 or 3 channels, got"):
        unrolled(np.zeros(shape))


@pytest.mark.parametrize(
    ("features", "asked", "shape"),
    [
        (64, None, (1, 8, 8)),
        (784, None, (1, 28, 28)),
        (3072, None, (3, 32, 32)),
        (49, None, (1, 1, 49)),
        (100, (4, 25), (1, 4, 25)),
        (12, [3, 2, 2], (3, 2, 2)),
    ],
)
def test_rows_take_the_shape_asked_for_or_a_guessed_one(
    features: int, asked: tuple[int, ...] | None, shape: tuple[int, ...]
) -> None:
    assert read(np.zeros((2, features)), asked=asked).shape == (2, *shape)


@pytest.mark.parametrize("asked", [(5, 5), (8,), (1, 1, 8, 8)])
def test_a_shape_that_does_not_fit_is_refused(asked: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"image_shape must be \(H, W\) or \(C, H, W\) .* for 64 features a row"):
        read(np.zeros((2, 64)), asked=asked)
    with pytest.raises(ValueError, match=r"for images of \(1, 8, 8\)"):
        read(np.zeros((2, 8, 8)), asked=asked)


def test_bytes_stay_bytes_and_floats_keep_their_precision() -> None:
    for dtype in (np.uint8, np.float32, np.float64):
        assert read(np.ones((2, 1, 8, 8), dtype=dtype)).numpy().dtype == dtype


def test_rows_outside_the_unit_interval_are_scaled_as_the_training_rows_were() -> None:
    training = np.array([[-1.0, 3.0], [0.0, 1.0]])
    form = PixelFormat.of(training, None)
    np.testing.assert_allclose(form.pixels(training, None).flatten(), [0, 1, 0.25, 0.5])
    np.testing.assert_allclose(form.pixels(np.array([[5.0, -2.0]]), None).flatten(), [1.5, -0.25])


def test_rows_that_are_all_equal_become_zero() -> None:
    assert read(np.full((2, 3), 7.0)).tolist() == [[[[0.0] * 3]]] * 2


def test_bytes_and_floats_may_take_turns() -> None:
    form = PixelFormat.of(*unrolled(LEVELS))
    as_floats = form.pixels(*unrolled(LEVELS / 255))
    torch.testing.assert_close(form.pixels(*unrolled(LEVELS)).double() / 255, as_floats)


@pytest.mark.parametrize(
    ("high", "cure"), [(255.0, "from 0 to 255 .divide by 255, or pass uint8"), (900.0, "rescale or clip")]
)
def test_images_outside_the_unit_interval_are_refused(high: float, cure: str) -> None:
    images = np.linspace(0, high, 128).reshape(2, 8, 8)
    with pytest.raises(ValueError, match=f"images must be uint8 or floats in .0, 1., got float64 .*{cure}"):
        read(images)
    with pytest.raises(ValueError, match=cure):
        PixelFormat(shape=(1, 8, 8), scale=None).pixels(*unrolled(images))


def test_images_of_another_shape_than_in_training_are_refused() -> None:
    form = PixelFormat.of(*unrolled(LEVELS))
    with pytest.raises(ValueError, match=r"images must be \(3, 4, 5\) .* as in training, got \(3, 5, 4\)"):
        form.pixels(*unrolled(LEVELS.transpose(0, 1, 3, 2)))
