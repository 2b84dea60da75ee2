"""Print and photograph: every part against a closed form, and the chain as a whole."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from robustcnn.channel import PARTS, Photo, blur, brightness, contrast, noise, perspective, resize, white_balance
from robustcnn.channel.homography import CORNERS, homography
from robustcnn.channel.photo import Part
from robustcnn.core.runtime import seeded
from robustcnn.data.registry import DataConfig, load

SMOOTH = tuple(part for part in PARTS if part != "jpeg")


@pytest.fixture(scope="module")
def signs() -> Tensor:
    """Drawn road signs (N, 3, 32, 32)."""
    return next(load(DataConfig(name="signs", limit=40)).test.batches(12))[0]


def test_strength_0_changes_no_bit(signs: Tensor) -> None:
    assert torch.equal(Photo(strength=0)(signs, generator=seeded(0)), signs)
    assert torch.equal(Photo(parts=())(signs, generator=seeded(0)), signs)


@pytest.mark.parametrize("part", PARTS)
def test_more_strength_changes_more(part: Part, signs: Tensor) -> None:
    photos = [Photo(strength=each, parts=(part,))(signs, generator=seeded(1)) for each in (0, 0.25, 0.5, 0.75, 1)]
    errors = [(photo - signs).square().mean().item() for photo in photos]
    assert errors[0] == 0 < errors[-1]
    assert errors == sorted(errors)


@pytest.mark.parametrize("shape", [(5, 3, 32, 32), (3, 1, 9, 14)])
def test_a_photo_keeps_shape_and_range(shape: tuple[int, ...]) -> None:
    photo = Photo()(torch.rand(shape, generator=seeded(0)), generator=seeded(1))
    assert photo.shape == shape
    assert photo.min() >= 0
    assert photo.max() <= 1


def test_one_seed_gives_one_photo_and_the_next_another(signs: Tensor) -> None:
    first, again, other = (Photo()(signs, generator=seeded(seed)) for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_batch_is_its_pictures_one_by_one(signs: Tensor) -> None:
    signs = signs[:4]
    shots = Photo(parts=SMOOTH).shots(signs, generator=seeded(0))
    alone = torch.cat([shots[row : row + 1](signs[row : row + 1]) for row in range(len(signs))])
    torch.testing.assert_close(shots(signs), alone, atol=2e-6, rtol=0)


def test_a_wide_blur_beside_it_does_not_lengthen_the_tail_of_a_narrow_one(signs: Tensor) -> None:
    together = blur(signs[:2], torch.tensor([1.0, 3.0]))
    torch.testing.assert_close(together[:1], blur(signs[:1], torch.tensor([1.0])), atol=1e-6, rtol=0)


def test_no_part_shifts_the_luck_of_another(signs: Tensor) -> None:
    whole, few = (Photo(parts=parts).shots(signs, generator=seeded(0)) for parts in (PARTS, ("noise", "blur")))
    assert few.corners is None
    assert whole.blur is not None
    assert few.blur is not None
    assert torch.equal(whole.blur, few.blur)
    assert torch.equal(whole.grain, few.grain)


def test_slopes_of_the_smooth_parts_are_finite_differences() -> None:
    images = 0.4 + 0.2 * torch.rand(1, 3, 5, 4, generator=seeded(0), dtype=torch.float64)
    shots = Photo(parts=SMOOTH, noise=0.001, brightness=0.05).shots(images, generator=seeded(1))
    assert torch.autograd.gradcheck(shots, images.requires_grad_())


def test_slopes_pass_jpeg_and_overexposure(signs: Tensor) -> None:
    leaf = signs.clone().requires_grad_()
    Photo(brightness=1.0)(leaf, generator=seeded(0)).sum().backward()
    assert leaf.grad is not None
    assert leaf.grad.isfinite().all()
    assert (leaf.grad.flatten(1).abs().sum(1) > 0).all()


def test_light_has_closed_forms() -> None:
    images = torch.tensor([[[[0.2, 0.4]]], [[[0.2, 0.4]]]])
    amounts = torch.tensor([0.1, -1.0])
    assert brightness(images, amounts).flatten().tolist() == pytest.approx([0.3, 0.5, -0.8, -0.6])
    assert contrast(images, amounts).flatten().tolist() == pytest.approx([0.19, 0.41, 0.3, 0.3])
    assert white_balance(images, amounts[:, None]).flatten().tolist() == pytest.approx([0.22, 0.44, 0, 0])
    assert noise(images, amounts, torch.ones_like(images)).flatten().tolist() == pytest.approx([0.3, 0.5, -0.8, -0.6])


def test_a_blurred_point_has_the_stated_deviation() -> None:
    point = torch.zeros(2, 1, 41, 41, dtype=torch.float64)
    point[:, :, 20, 20] = 1
    seen = blur(point, torch.tensor([1.5, 3.0], dtype=torch.float64))
    places = torch.arange(-20, 21, dtype=torch.float64)
    spreads = (seen.sum((1, 2)) * places.square()).sum(1).sqrt()
    assert spreads.tolist() == pytest.approx([1.5, 3.0], rel=0.02)
    torch.testing.assert_close(seen.sum((1, 2, 3)), torch.ones(2, dtype=torch.float64))


def test_resize_is_torch_going_down_and_up(signs: Tensor) -> None:
    images, shares = signs[:3, :, :30], torch.tensor([0.5, 1.0, 2.0])
    for image, seen, (height, width) in zip(
        images.split(1), resize(images, shares).split(1), [(15, 16), (30, 32), (60, 64)], strict=True
    ):
        there = F.interpolate(image, (height, width), mode="bilinear", antialias=True)
        back = F.interpolate(there, (30, 32), mode="bilinear", antialias=True)
        torch.testing.assert_close(seen, back)
    assert torch.equal(resize(images, torch.ones(3)), images)


def test_a_homography_takes_the_square_to_its_quadrangle() -> None:
    square = torch.tensor(CORNERS, dtype=torch.float64)
    quads = square + 0.3 * torch.rand(5, 4, 2, generator=seeded(0), dtype=torch.float64)
    points = torch.cat([square, torch.ones(4, 1, dtype=torch.float64)], dim=1)
    seen = torch.einsum("nij,kj->nki", homography(quads), points)
    torch.testing.assert_close(seen[..., :2] / seen[..., 2:], quads)


def test_all_corners_shifted_alike_shift_the_picture(signs: Tensor) -> None:
    shifts = torch.tensor([[0.0, 0.0], [2 / 32, 0.0], [0.0, 4 / 32]])[:, None].expand(3, 4, 2)
    seen = perspective(signs[:1].expand(3, -1, -1, -1), shifts)
    torch.testing.assert_close(seen[0], signs[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(seen[1, ..., :-1], signs[0, ..., 1:], atol=1e-5, rtol=0)
    torch.testing.assert_close(seen[2, :, :-2], signs[0, :, 2:], atol=1e-5, rtol=0)


def test_corners_passed_on_by_one_turn_the_picture_by_a_quarter(signs: Tensor) -> None:
    square = torch.tensor(CORNERS)
    turned = perspective(signs[:1], (square.roll(-1, 0) - square)[None])
    torch.testing.assert_close(turned, signs[:1].rot90(1, (2, 3)), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strength": 1.5}, r"strength must lie in \[0, 1\], got 1.5"),
        ({"noise": -1.0}, r"noise must lie in \[0, 1\], got -1"),
        ({"tilt": 0.5}, r"tilt must lie in \[0, 0.5\), or corners would meet, got 0.5"),
        ({"shrink": 1.0}, "shrink must leave something of the picture and be below 1, got 1"),
        ({"quality": 0}, r"quality must lie in 1\.\.100, got 0"),
        ({"parts": ("flash",)}, "unknown part 'flash'; known: perspective, contrast"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Photo(**options)  # type: ignore[arg-type]
