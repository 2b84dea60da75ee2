"""Every batched operation against a reference for one image at a time, and what `Augment` makes of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import torchvision.transforms.functional as reference
from scipy.stats import beta, kstest
from torch import Tensor
from torch.testing import assert_close
from torchvision.transforms import InterpolationMode

from robustcnn.core.runtime import seeded
from robustcnn.data.augment.colour import brightness, contrast, hue, noise, saturation
from robustcnn.data.augment.policy import Augment, draw_mixup, mixup
from robustcnn.data.augment.warps import Padding, affine, cutout, mirror, shift
from robustcnn.data.resident import as_pixels

COUNT = 12
SHAPES = [(COUNT, 3, 32, 32), (COUNT, 1, 28, 28), (COUNT, 3, 20, 33)]
GEOMETRY = Augment(mirror=True, shift=2, rotate=15, rescale=0.1, cutout=4)
EVERYTHING = replace(GEOMETRY, brightness=0.3, contrast=0.3, saturation=0.3, hue=0.1, noise=0.05)
shapes = pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "x".join(map(str, shape[1:])))


def raw(shape: tuple[int, ...]) -> Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=seeded(0))


def spread(low: float, high: float, count: int = COUNT) -> Tensor:
    return torch.linspace(low, high, count)


def each(images: Tensor, operation: Callable[..., Tensor], *parameters: Tensor) -> Tensor:
    """The reference: one image and its own parameters at a time."""
    numbers = zip(*(parameter.tolist() for parameter in parameters), strict=True)
    return torch.stack([operation(image, *values) for image, values in zip(images, numbers, strict=True)])


@shapes
def test_mirror_equals_hflip_of_the_chosen_images(shape: tuple[int, ...]) -> None:
    images, flips = raw(shape), torch.arange(COUNT) % 3 == 0
    expected = each(images, lambda image, flip: reference.hflip(image) if flip else image, flips)
    assert torch.equal(mirror(images, flips), expected)
    assert torch.equal(mirror(as_pixels(images), flips), as_pixels(expected))


@shapes
@pytest.mark.parametrize("padding", ["zero", "reflect"])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_shift_equals_padding_and_cropping(shape: tuple[int, ...], padding: Padding, layout: Any) -> None:
    images = raw(shape).contiguous(memory_format=layout)
    dy, dx = torch.randint(-4, 5, (2, COUNT), generator=seeded(1))
    mode = {"zero": "constant", "reflect": "reflect"}[padding]
    expected = each(
        images, lambda image, y, x: reference.crop(reference.pad(image, [4], 0, mode), 4 - y, 4 - x, *shape[2:]), dy, dx
    )
    assert torch.equal(shift(images, dy, dx, reach=4, padding=padding), expected)
    moved = shift(as_pixels(images), dy, dx, reach=4, padding=padding)
    assert torch.equal(moved, as_pixels(expected))


def test_positive_shifts_move_down_and_right() -> None:
    images = torch.zeros(1, 1, 5, 5, dtype=torch.uint8)
    images[0, 0, 1, 1] = 7
    moved = shift(images, torch.tensor([2]), torch.tensor([1]), reach=2)
    assert moved[0, 0, 3, 2] == 7
    assert moved.sum() == 7


def test_a_shift_beyond_its_reach_is_cut_to_it() -> None:
    images, far, near = raw(SHAPES[0]), torch.full((COUNT,), 9), torch.full((COUNT,), 3)
    assert torch.equal(shift(images, far, -far, reach=3), shift(images, near, -near, reach=3))


@shapes
def test_affine_equals_torchvisions_rotation(shape: tuple[int, ...]) -> None:
    images, degrees = as_pixels(raw(shape)), spread(-180, 175)
    expected = each(images, lambda image, angle: reference.rotate(image, angle, InterpolationMode.BILINEAR), degrees)
    assert_close(affine(images, degrees, torch.ones(COUNT)), expected, atol=2e-4, rtol=0)


@shapes
def test_affine_equals_torchvisions_rotation_with_rescaling(shape: tuple[int, ...]) -> None:
    images, degrees, scale = as_pixels(raw(shape)), spread(-60, 50), spread(0.6, 1.7)
    expected = each(
        images,
        lambda image, angle, size: reference.affine(image, -angle, [0, 0], size, [0.0], InterpolationMode.BILINEAR),
        degrees,
        scale,
    )
    assert_close(affine(images, degrees, scale), expected, atol=2e-4, rtol=0)


def test_reflecting_affine_leaves_no_black_corners() -> None:
    images, degrees, scale = torch.ones(COUNT, 3, 16, 16), spread(-90, 80), spread(0.5, 1)
    assert affine(images, degrees, scale).min() == 0
    assert_close(affine(images, degrees, scale, padding="reflect"), images)


@shapes
@pytest.mark.parametrize(
    ("operation", "single", "low", "high"),
    [
        (brightness, reference.adjust_brightness, 0, 2),
        (contrast, reference.adjust_contrast, 0, 2),
        (saturation, reference.adjust_saturation, 0, 2),
        (hue, reference.adjust_hue, -0.5, 0.5),
    ],
)
def test_colour_operations_equal_torchvisions(
    shape: tuple[int, ...],
    operation: Callable[..., Tensor],
    single: Callable[..., Tensor],
    low: float,
    high: float,
) -> None:
    images, parameters = as_pixels(raw(shape)), spread(low, high)
    images[:, :, :4] = 0.25  # grey has no hue to divide by
    images[:, :1, 4:8] = images.amax(1, keepdim=True)[:, :, 4:8]
    changed = operation(images, parameters)
    assert_close(changed, each(images, single, parameters), atol=1e-5, rtol=0)
    assert 0 <= changed.min() <= changed.max() <= 1


def test_saturation_and_hue_leave_grey_images_alone() -> None:
    images = as_pixels(raw(SHAPES[1]))
    assert torch.equal(saturation(images, spread(0, 2)), images)
    assert torch.equal(hue(images, spread(-0.5, 0.5)), images)


def test_noise_has_the_given_deviation_and_stays_in_bounds() -> None:
    images = torch.full((64, 3, 32, 32), 0.5)
    drawn = noise(images, 0.05, seeded(0)) - images
    assert drawn.std().item() == pytest.approx(0.05, rel=0.02)
    assert abs(drawn.mean().item()) < 1e-3
    assert noise(images, 0.5, seeded(0)).aminmax() == (0, 1)


@shapes
@pytest.mark.parametrize("size", [1, 4, 7])
def test_cutout_blacks_out_a_clipped_square_and_nothing_else(shape: tuple[int, ...], size: int) -> None:
    images = as_pixels(raw(shape))
    cy, cx = spread(0, shape[2] - 1).long(), spread(shape[3] - 1, 0).long()

    def single(image: Tensor, y: int, x: int) -> Tensor:
        top, left = y - size // 2, x - size // 2
        covered = image.clone()
        covered[:, max(top, 0) : top + size, max(left, 0) : left + size] = 0
        return covered

    assert torch.equal(cutout(images, cy, cx, size=size), each(images, single, cy, cx))


@shapes
def test_neutral_parameters_change_nothing(shape: tuple[int, ...]) -> None:
    images, zeros, ones = as_pixels(raw(shape)), torch.zeros(COUNT), torch.ones(COUNT)
    still = zeros.long()
    for same in (
        mirror(images, zeros.bool()),
        shift(images, still, still, reach=0),
        shift(images, still, still, reach=3, padding="reflect"),
        noise(images, 0, seeded(0)),
        cutout(images, still, still, size=0),
        Augment()(images, seeded(0)),
    ):
        assert torch.equal(same, images)
    for close in (affine(images, zeros, ones), brightness(images, ones), contrast(images, ones)):
        assert_close(close, images, atol=2e-5, rtol=0)
    assert_close(saturation(images, ones), images)
    assert_close(hue(images, zeros), images)


@shapes
def test_augment_gives_float_pixels_in_bounds_and_leaves_its_input_alone(shape: tuple[int, ...]) -> None:
    images = raw(shape)
    pixels = as_pixels(images)
    for given in (images, pixels):
        before = given.clone()
        augmented = EVERYTHING(given, seeded(3))
        assert augmented.dtype == torch.float32
        assert augmented.shape == given.shape
        assert 0 <= augmented.min() <= augmented.max() <= 1
        assert torch.equal(given, before)
    assert_close(EVERYTHING(images, seeded(3)), EVERYTHING(pixels, seeded(3)))


@pytest.mark.parametrize("name", ["mirror", "shift", "rotate", "rescale", "brightness", "contrast", "noise", "cutout"])
def test_each_switch_changes_the_pixels(name: str) -> None:
    images = raw(SHAPES[1])
    alone = Augment(**{name: getattr(EVERYTHING, name)})
    assert not torch.equal(alone(images, seeded(0)), as_pixels(images))


@pytest.mark.parametrize("name", ["saturation", "hue"])
def test_each_colour_switch_changes_colour_but_not_grey(name: str) -> None:
    alone = Augment(**{name: 0.3})
    assert not torch.allclose(alone(raw(SHAPES[0]), seeded(0)), as_pixels(raw(SHAPES[0])), atol=0.05)
    assert torch.equal(alone(raw(SHAPES[1]), seeded(0)), as_pixels(raw(SHAPES[1])))


def test_the_seed_decides_the_batch() -> None:
    images = raw(SHAPES[0])
    assert torch.equal(EVERYTHING(images, seeded(5)), EVERYTHING(images, seeded(5)))
    assert not torch.equal(EVERYTHING(images, seeded(5)), EVERYTHING(images, seeded(6)))


def test_about_half_the_images_are_mirrored_each_for_itself() -> None:
    images = raw((1, 1, 8, 8)).expand(2000, -1, -1, -1)
    mirrored = (Augment(mirror=True)(images, seeded(0)) == as_pixels(images).flip(-1)).flatten(1).all(1)
    assert mirrored.float().mean().item() == pytest.approx(0.5, abs=0.04)


def test_shifts_are_uniform_over_their_whole_range_in_both_directions() -> None:
    images = torch.zeros(4000, 1, 9, 9, dtype=torch.uint8)
    images[:, :, 4, 4] = 255
    found = Augment(shift=2)(images, seeded(0)).flatten(1).argmax(1)
    counts = torch.bincount(found, minlength=81).view(9, 9)
    assert counts.sum() == counts[2:7, 2:7].sum()
    assert_close(counts[2:7, 2:7] / 4000, torch.full((5, 5), 0.04), atol=0.015, rtol=0)


def test_cutout_falls_anywhere_in_the_image() -> None:
    cut = Augment(cutout=1)(torch.ones(4000, 1, 4, 6), seeded(0)) == 0
    assert_close(cut.float().mean(0), torch.full((1, 4, 6), 1 / 24), atol=0.015, rtol=0)


def test_brightness_is_drawn_evenly_around_one() -> None:
    drawn = Augment(brightness=0.4)(torch.full((4000, 1, 1, 1), 0.5), seeded(0)).flatten() / 0.5
    assert kstest(drawn.numpy(), "uniform", args=(0.6, 0.8)).pvalue > 0.01


@pytest.mark.parametrize("alpha", [0.1, 0.2, 1.0, 4.0])
def test_mixup_shares_follow_the_beta_distribution(alpha: float) -> None:
    share, partner = draw_mixup(torch.zeros(4000, 1), alpha, seeded(0))
    # At inner points, because at the ends float32 merges what the continuous law keeps apart.
    points = torch.tensor([0.001, 0.1, 0.3, 0.5, 0.7, 0.9, 0.999])
    found = (share[:, None] <= points).double().mean(0)
    assert_close(found, torch.from_numpy(beta(alpha, alpha).cdf(points.double().numpy())), atol=0.025, rtol=0)
    assert torch.equal(partner.sort().values, torch.arange(4000))


def test_mixup_blends_images_and_targets_by_the_same_share() -> None:
    images, labels = as_pixels(raw(SHAPES[0])), torch.arange(COUNT)
    mixed, targets = mixup(images, F.one_hot(labels, COUNT).float(), 1.0, seeded(2))
    assert_close(targets.sum(1), torch.ones(COUNT))
    assert 0 <= targets.min() <= targets.max() <= 1
    # One class an image: row i of the targets says how much of each image is in mixture i.
    assert_close(mixed, (targets @ images.flatten(1)).view_as(images))
    assert not torch.allclose(mixed, images)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("shift", -1, "shift must not be negative, got -1"),
        ("cutout", -2, "cutout must not be negative, got -2"),
        ("rotate", 200, r"rotate must lie in \[0, 180\], got 200 \(degrees"),
        ("rescale", 1.0, r"rescale must lie in \[0, 0.9\], got 1"),
        ("brightness", 1.2, r"brightness must lie in \[0, 1\], got 1.2 \(a share"),
        ("contrast", -0.1, r"contrast must lie in \[0, 1\], got -0.1"),
        ("saturation", float("nan"), r"saturation must lie in \[0, 1\], got nan"),
        ("hue", 90, r"hue must lie in \[0, 0.5\], got 90 \(turns"),
        ("noise", 13, r"noise must lie in \[0, 1\], got 13 \(pixel units"),
        ("padding", "mirror", "padding must be one of zero, reflect, got 'mirror'"),
    ],
)
def test_bad_values_are_refused(name: str, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(EVERYTHING, **{name: value})


def test_what_does_not_fit_the_image_is_refused() -> None:
    with pytest.raises(ValueError, match=r"shift must lie in 0..27 for 28x28 images, got 28"):
        Augment(shift=28)(raw(SHAPES[1]), seeded(0))
    with pytest.raises(ValueError, match=r"cutout must lie in 0..20 for 20x33 images, got 21"):
        Augment(cutout=21)(raw(SHAPES[2]), seeded(0))


def test_mixup_refuses_labels_and_a_share_without_a_distribution() -> None:
    images, labels = as_pixels(raw(SHAPES[0])), torch.arange(COUNT)
    with pytest.raises(
        ValueError, match=r"mixup blends class probabilities .* got torch.int64 \(12,\) \(pass F.one_hot"
    ):
        mixup(images, labels, 1.0, seeded(0))
    with pytest.raises(ValueError, match=r"alpha must be positive and finite, got 0"):
        mixup(images, F.one_hot(labels, COUNT).float(), 0.0, seeded(0))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_augment_works_where_the_images_are() -> None:
    augmented = EVERYTHING(raw(SHAPES[0]).cuda(), seeded(0, "cuda"))
    assert augmented.device.type == "cuda"
    assert 0 <= augmented.min() <= augmented.max() <= 1
