"""Compression and blur against PIL and closed forms."""

from __future__ import annotations

import io
import math

import pytest
import torch
from PIL import Image
from torch import Tensor

from robustcnn.channel import disk, filtered, jpeg, streak
from robustcnn.data.registry import DataConfig, load


@pytest.fixture(scope="module")
def signs() -> Tensor:
    """Twelve drawn road signs (N, 3, 32, 32)."""
    return next(load(DataConfig(name="signs", limit=40)).test.batches(12))[0]


def by_pillow(images: Tensor, quality: int) -> Tensor:
    saved = []
    for image in (255 * images).round().to(torch.uint8):
        file = io.BytesIO()
        grey = image.shape[0] == 1
        pixels = image[0].numpy() if grey else image.permute(1, 2, 0).numpy()
        Image.fromarray(pixels).save(file, "JPEG", quality=quality)
        back = torch.tensor(list(Image.open(file).tobytes()), dtype=torch.uint8)
        saved.append(back.view(1, *image.shape[1:]) if grey else back.view(*image.shape[1:], 3).permute(2, 0, 1))
    return torch.stack(saved).float() / 255


@pytest.mark.parametrize("quality", [95, 75, 30])
@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_is_what_pillow_makes_of_it(signs: Tensor, quality: int, channels: int) -> None:
    images = (255 * signs[:, :channels, :30, :27]).round() / 255
    error = (jpeg(images, quality) - by_pillow(images, quality)).abs()
    lost = (by_pillow(images, quality) - images).abs()
    # In colour the two round and enlarge the halved colours a little differently.
    assert error.mean() < (1.5e-3 if channels == 1 else 6e-3)
    assert error.mean() < lost.mean() / 3


def test_jpeg_passes_gradients(signs: Tensor) -> None:
    leaf = signs.clone().requires_grad_()
    jpeg(leaf, 75).sum().backward()
    assert leaf.grad is not None
    assert (leaf.grad.flatten(1).abs().sum(1) > 0).all()


@pytest.mark.parametrize("quality", [0, 101])
def test_jpeg_wants_a_quality(signs: Tensor, quality: int) -> None:
    with pytest.raises(ValueError, match=rf"quality must lie in 1\.\.100, got {quality}"):
        jpeg(signs, quality)


def test_a_disk_is_round_and_weighs_one() -> None:
    kernel = disk(2.0)
    assert kernel.sum().item() == pytest.approx(1)
    torch.testing.assert_close(kernel, kernel.T)
    assert kernel[0, 0] == 0 < kernel[0, 2] < kernel[2, 2]


def test_a_level_streak_is_a_row_and_an_upright_one_a_column() -> None:
    level, upright = streak(5.0, torch.tensor([0.0, math.pi / 2]))
    assert level.sum(1).argmax() == 3
    torch.testing.assert_close(level.sum(1)[3], torch.tensor(1.0))
    torch.testing.assert_close(level, upright.T, atol=1e-6, rtol=0)


def test_each_picture_has_its_own_kernel(signs: Tensor) -> None:
    angles = torch.linspace(0, 3, len(signs))
    together = filtered(signs, streak(3.0, angles))
    alone = torch.cat([filtered(signs[i : i + 1], streak(3.0, angles[i : i + 1])[0]) for i in range(len(signs))])
    torch.testing.assert_close(together, alone)


def test_a_blur_leaves_a_flat_picture_alone() -> None:
    flat = torch.full((2, 3, 9, 11), 0.3)
    torch.testing.assert_close(filtered(flat, disk(1.5)), flat)
