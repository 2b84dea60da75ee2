"""Scenes: signs land where geometry says, and gradients find the way back."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from robustcnn.core.runtime import seeded
from robustcnn.data.signs.backgrounds import backgrounds
from robustcnn.data.signs.road_signs import front_view
from robustcnn.data.signs.scenes import Conditions, scene

STILL = Conditions(
    scale=(1, 1), overhang=0, yaw=0, pitch=0, roll=0, light=(1, 1), cast=0, haze=0, shade=0, blur=0, noise=0
)


def stops(count: int, *, size: int = 64) -> tuple[Tensor, Tensor]:
    sign, mask = front_view("stop", size=size)
    return sign.expand(count, -1, -1, -1), mask.expand(count, -1, -1, -1)


def test_under_still_conditions_the_scene_is_the_front_view() -> None:
    sign, mask = stops(4)
    pictures = scene(sign, mask, size=32, generator=seeded(0), conditions=STILL)
    covered = torch.nn.functional.avg_pool2d(mask, 2) == 1
    expected = torch.nn.functional.avg_pool2d(sign, 2)
    torch.testing.assert_close(pictures[covered.expand_as(pictures)], expected[covered.expand_as(expected)])


def test_around_the_sign_is_background() -> None:
    sign, mask = stops(2)
    small = replace(STILL, scale=(0.5, 0.5))
    one = scene(sign, mask, size=32, generator=seeded(0), conditions=small)
    none = scene(1 - sign, mask, size=32, generator=seeded(0), conditions=small)
    differs = (one != none).any(1).flatten(1).float().mean(1)
    # The octagon covers some 0.78 of its square, which is a quarter of the frame.
    assert torch.allclose(differs, torch.full_like(differs, 0.21), atol=0.04)


@pytest.mark.parametrize(("yaw", "pitch"), [(60.0, 0.0), (0.0, 60.0)])
def test_a_turned_sign_looks_narrower_across_its_axis(yaw: float, pitch: float) -> None:
    sign, mask = stops(64)
    turned = replace(STILL, scale=(0.6, 0.6), yaw=yaw, pitch=pitch)
    marks = [scene(colour, mask, size=64, generator=seeded(0), conditions=turned) for colour in (sign, 1 - sign)]
    shown = (marks[0] != marks[1]).any(1)
    widths, heights = shown.any(1).sum(1), shown.any(2).sum(1)
    narrow, full = (widths, heights) if yaw else (heights, widths)
    assert narrow.min() < 0.7 * full.min()


def test_gradients_reach_the_sign_and_are_exact() -> None:
    sign, mask = stops(3, size=32)
    step = 0.02 * torch.randn(sign.shape, generator=seeded(1))
    light = Conditions(light=(0.5, 0.8), noise=0)
    start = sign.clone().requires_grad_()
    before = scene(start, mask, size=32, generator=seeded(0), conditions=light)
    after = scene(sign + step, mask, size=32, generator=seeded(0), conditions=light)
    weights = torch.randn(before.shape, generator=seeded(2))
    (gradient,) = torch.autograd.grad((before * weights).sum(), start)
    # Nothing saturates here, so that a scene is linear in the sign's pixels.
    torch.testing.assert_close((gradient * step).sum(), ((after - before) * weights).sum(), rtol=1e-3, atol=1e-4)
    assert (gradient[mask.expand_as(gradient) == 1] != 0).float().mean() > 0.95
    assert (gradient[mask.expand_as(gradient) == 0] == 0).all()


def test_overexposed_pixels_keep_their_gradient() -> None:
    sign, mask = stops(1)
    start = torch.ones_like(sign).requires_grad_()
    pictures = scene(start, mask, size=32, generator=seeded(0), conditions=replace(STILL, light=(3, 3)))
    assert pictures[0, :, 16, 16].eq(1).all()
    (gradient,) = torch.autograd.grad(pictures[0, :, 16, 16].sum(), start)
    assert gradient.sum() == pytest.approx(9, rel=1e-3)


@pytest.mark.parametrize("size", [32, 50, 128])
def test_scenes_and_backgrounds_are_pixels(size: int) -> None:
    sign, mask = stops(8)
    for pictures in (
        scene(sign, mask, size=size, generator=seeded(0), conditions=Conditions(light=(0.1, 5), noise=0.5)),
        backgrounds(8, size=size, generator=seeded(0)),
    ):
        assert pictures.shape == (8, 3, size, size)
        assert pictures.min() >= 0
        assert pictures.max() <= 1


def test_backgrounds_vary() -> None:
    pictures = backgrounds(64, size=32, generator=seeded(0))
    assert pictures.mean((2, 3)).std(0).min() > 0.05
    assert pictures.std((2, 3)).mean() > 0.05


def test_every_generator_state_gives_another_scene() -> None:
    sign, mask = stops(2)
    generator = seeded(0)
    first, second = (scene(sign, mask, size=32, generator=generator) for _ in range(2))
    assert not torch.equal(first, second)
    assert not torch.equal(first[0], first[1])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"scale": (0.9, 0.5)}, "scale must be two positive numbers, the smaller first, got 0.9, 0.5"),
        ({"light": (0, 1)}, "light must be two positive"),
        ({"yaw": 90}, "yaw must lie in 0..75 degrees, got 90"),
        ({"blur": 2}, "blur is a part of 1 and must lie in 0..1, got 2"),
    ],
)
def test_impossible_conditions_are_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Conditions(**wrong)  # type: ignore[arg-type]


def test_a_mask_of_another_shape_is_refused() -> None:
    sign, mask = front_view("stop")
    with pytest.raises(ValueError, match=r"got \(3, 32, 32\) and \(1, 32, 32\) \(one sign in many scenes"):
        scene(sign, mask, size=32, generator=seeded(0))
