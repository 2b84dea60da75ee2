"""The ball, the box and the norms, against closed forms, scipy and the definitions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.stats import kstest
from torch import Tensor

from robustcnn.core.norms import NormName, fraction
from robustcnn.core.plain_data import number
from robustcnn.core.runtime import seeded
from robustcnn.core.threat import ThreatModel

NORMS = get_args(NormName)
RADIUS = {"linf": 0.3, "l2": 0.8, "l1": 2.0}
quick = settings(max_examples=40, deadline=None)
norms, seeds = st.sampled_from(NORMS), st.integers(0, 2**20)
eps_shares = st.floats(0, 1.5)
dtypes = st.sampled_from([torch.float32, torch.float64])


def scene(seed: int, dtype: torch.dtype = torch.float64, *, size: float = 0.7) -> tuple[Tensor, Tensor]:
    """Six origins, many of their pixels at a bound, and points around them, some of them far out of bounds."""
    generator = seeded(seed)
    origin = (torch.rand(6, 2, 4, 3, generator=generator, dtype=dtype) * 1.6 - 0.3).clamp(0, 1)
    scale = size * torch.rand(6, 1, 1, 1, generator=generator, dtype=dtype) * 2
    return origin + scale * torch.randn(origin.shape, generator=generator, dtype=dtype), origin


def plain_distance(norm: NormName, first: Tensor, second: Tensor) -> Tensor:
    change = (first - second).flatten(1).double().abs()
    return {"linf": change.amax(1), "l2": change.square().sum(1).sqrt(), "l1": change.sum(1)}[norm]


@given(norms, eps_shares, seeds, dtypes)
@quick
def test_projections_lie_in_ball_and_box_and_stay_put(
    norm: NormName, share: float, seed: int, dtype: torch.dtype
) -> None:
    images, origin = scene(seed, dtype)
    threat = ThreatModel(norm=norm, eps=min(share * RADIUS[norm], 1) if norm == "linf" else share * RADIUS[norm])
    nearest = threat.project(images, origin)
    # A pixel is only as fine as its own rounding.
    assert (plain_distance(norm, nearest, origin) <= threat.eps + torch.finfo(dtype).eps * (1 + threat.eps)).all()
    assert nearest.min() >= 0
    assert nearest.max() <= 1
    torch.testing.assert_close(threat.project(nearest, origin), nearest, rtol=0, atol=torch.finfo(dtype).eps)


@given(norms, eps_shares, seeds)
@quick
def test_no_other_point_of_ball_and_box_is_nearer(norm: NormName, share: float, seed: int) -> None:
    images, origin = scene(seed)
    threat = ThreatModel(norm=norm, eps=share * RADIUS[norm])
    nearest = threat.project(images, origin)
    # The set is convex: the way on to any point of it must not lead nearer to the image, so the angle is obtuse.
    for rival in (threat.sample(origin, seeded(seed)), threat.sample(origin, seeded(seed), surface=True)):
        angle = ((images - nearest) * (rival - nearest)).flatten(1).sum(1)
        assert (angle <= 1e-9).all()


def l2_reference(image: Tensor, origin: Tensor, eps: float) -> Tensor:
    def at(share: float) -> Tensor:
        return (origin + share * (image - origin)).clamp(0, 1)

    def excess(share: float) -> float:
        return float((at(share) - origin).square().sum().sqrt()) - eps

    return at(1.0 if excess(1) <= 0 else brentq(excess, 0, 1, xtol=1e-15))


def l1_reference(image: Tensor, origin: Tensor, eps: float) -> Tensor:
    def at(shrinkage: float) -> Tensor:
        change = image - origin
        return (origin + change.sign() * (change.abs() - shrinkage).clamp_min(0)).clamp(0, 1)

    def excess(shrinkage: float) -> float:
        return float((at(shrinkage) - origin).abs().sum()) - eps

    return at(0.0 if excess(0) <= 0 else brentq(excess, 0, float((image - origin).abs().max()), xtol=1e-15))


@given(st.sampled_from(["l2", "l1"]), st.floats(0.01, 1.5), seeds, dtypes)
@quick
def test_projection_agrees_with_a_root_finder(norm: NormName, share: float, seed: int, dtype: torch.dtype) -> None:
    images, origin = scene(seed, dtype)
    threat = ThreatModel(norm=norm, eps=share * RADIUS[norm])
    reference = {"l2": l2_reference, "l1": l1_reference}[norm]
    expected = [
        reference(image, base, threat.eps) for image, base in zip(images.double(), origin.double(), strict=True)
    ]
    actual = threat.project(images, origin).double()
    torch.testing.assert_close(actual, torch.stack(expected), rtol=0, atol=20 * torch.finfo(dtype).eps)


def test_l2_projection_is_the_plain_one_where_no_bound_is_near() -> None:
    origin = 0.4 + 0.2 * torch.rand(5, 3, 16, 16, generator=seeded(0))
    images = origin + 0.02 * torch.randn(origin.shape, generator=seeded(1))
    change = images - origin
    plain = origin + change * (0.25 / change.flatten(1).norm(dim=1)).clamp_max(1)[:, None, None, None]
    torch.testing.assert_close(ThreatModel(norm="l2", eps=0.25).project(images, origin), plain, rtol=0, atol=1.2e-7)


@pytest.mark.parametrize("norm", ["l2", "l1"])
def test_an_infinite_ball_leaves_only_the_box(norm: NormName) -> None:
    images, origin = scene(0)
    projected = ThreatModel(norm=norm, eps=math.inf).project(images, origin)
    torch.testing.assert_close(projected, images.clamp(0, 1), rtol=0, atol=0)


@given(norms, seeds, st.sampled_from([1e-30, 1e-12, 1.0, 1e12]))
@quick
def test_the_steepest_step_has_length_1_and_gains_the_dual_norm(norm: NormName, seed: int, size: float) -> None:
    gradient = size * torch.randn(4, 3, 5, 5, generator=seeded(seed))
    threat = ThreatModel(norm=norm, eps=0.5)
    step = threat.steepest(gradient)
    torch.testing.assert_close(plain_distance(norm, step, 0 * step), torch.ones(4).double(), rtol=1e-6, atol=0)
    gain = (step.double() * gradient.double()).flatten(1).sum(1)
    dual = gradient.flatten(1).double().norm({"linf": 1, "l2": 2, "l1": math.inf}[norm], dim=1)
    torch.testing.assert_close(gain, dual, rtol=1e-6, atol=0)
    torch.testing.assert_close(threat.dual(gradient).double(), dual, rtol=1e-6, atol=0)


@pytest.mark.parametrize("norm", NORMS)
def test_no_slope_means_no_step(norm: NormName) -> None:
    gradient = torch.zeros(2, 1, 4, 4)
    gradient[1, 0, 2, 3] = -1e-20
    step = ThreatModel(norm=norm, eps=0.5).steepest(gradient)
    assert not step[0].any()
    assert step[1, 0, 2, 3] == -1


def test_an_l1_step_spends_its_length_evenly_on_the_top_share() -> None:
    gradient = torch.tensor([[5.0, -4, 3, 2, 1, 0, 0, 0], [0, 0, 0, 0, 0, 0, 7, 0]])
    step = ThreatModel(norm="l1", eps=1).steepest(gradient, share=0.25)
    torch.testing.assert_close(step, torch.tensor([[0.5, -0.5, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 1, 0]]))
    each = ThreatModel(norm="l1", eps=1).steepest(gradient, share=torch.tensor([0.5, 0.125]))
    torch.testing.assert_close(each[0], torch.tensor([0.25, -0.25, 0.25, 0.25, 0, 0, 0, 0]))


def test_an_l1_step_passes_over_pixels_that_are_at_their_bound() -> None:
    gradient = torch.tensor([[5.0, -4, 3, 1]])
    step = ThreatModel(norm="l1", eps=1).steepest(gradient, current=torch.tensor([[1.0, 0, 0.5, 0]]))
    assert step.tolist() == [[0, 0, 1, 0]]


@pytest.mark.parametrize(
    ("norm", "marginal"),
    [
        ("linf", lambda z: (1 + z) / 2),
        ("l2", lambda z: (2 + 3 * z - z**3) / 4),
        ("l1", lambda z: 0.5 + (1 - (1 - abs(z)) ** 3) * (2 * (z > 0) - 1) / 2),
    ],
)
def test_samples_are_uniform_in_the_ball(norm: NormName, marginal: Callable[[float], float]) -> None:
    images = torch.full((4000, 3), 0.5, dtype=torch.float64)
    change = (ThreatModel(norm=norm, eps=0.4).sample(images, seeded(0)) - images) / 0.4
    # Volume grows like the cube of the radius; slices of a cube, a ball and an octahedron have known areas.
    assert kstest(plain_distance(norm, change, 0 * change).numpy() ** 3, "uniform").pvalue > 0.01
    for coordinate in change.T:
        assert kstest(coordinate.numpy(), np.vectorize(marginal)).pvalue > 0.01


@pytest.mark.parametrize("norm", NORMS)
def test_surface_samples_lie_on_the_sphere(norm: NormName) -> None:
    threat = ThreatModel(norm=norm, eps=0.2)
    images = torch.full((50, 1, 6, 6), 0.5, dtype=torch.float64)
    started = threat.sample(images, seeded(0), surface=True)
    torch.testing.assert_close(threat.distance(started, images), torch.full((50,), 0.2, dtype=torch.float64))


@pytest.mark.parametrize("norm", NORMS)
def test_samples_keep_to_the_bounds_and_follow_the_seed(norm: NormName) -> None:
    _, origin = scene(3, torch.float32)
    threat = ThreatModel(norm=norm, eps=RADIUS[norm])
    first, again, other = (threat.sample(origin, seeded(seed)) for seed in (1, 1, 2))
    assert first.min() >= 0
    assert first.max() <= 1
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_bounds_need_not_be_0_and_1() -> None:
    threat = ThreatModel(norm="linf", eps=0.5, bounds=(-1, 3))
    assert threat.project(torch.tensor([[-9.0, 9, 9]]), torch.tensor([[-0.8, 2.9, 1]])).tolist() == [[-1, 3, 1.5]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"norm": "linf", "eps": 8}, r"eps must lie in \[0, 1\] for linf, got 8 \(did you mean 8 / 255\?\)"),
        ({"norm": "linf", "eps": math.inf}, r"eps must lie in \[0, 1\] for linf, got inf$"),
        ({"norm": "l2", "eps": -1}, "eps must be at least 0, got -1"),
        ({"norm": "l2", "eps": math.nan}, "eps must be at least 0, got nan"),
        ({"norm": "l0"}, "norm must be one of linf, l2, l1, got 'l0'"),
        ({"bounds": (1, 0)}, r"bounds must be finite, the lower one first, got \(1, 0\)"),
    ],
)
def test_a_threat_that_makes_no_sense_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ThreatModel(**options)  # type: ignore[arg-type]


def test_a_random_point_of_an_infinite_ball_is_refused() -> None:
    with pytest.raises(ValueError, match="a random start needs a finite eps, got inf"):
        ThreatModel(norm="l2", eps=math.inf).sample(torch.zeros(1, 2), seeded(0))


@pytest.mark.parametrize(
    ("eps", "text"),
    [(8 / 255, "8/255"), (0.5, "0.5"), (0.0, "0"), (1.0, "1"), (128 / 255, "128/255"), (math.inf, "inf"), (12, "12")],
)
def test_eps_is_written_as_people_write_it_and_read_back(eps: float, text: str) -> None:
    assert fraction(eps) == text
    assert number(text) == pytest.approx(eps)


def test_a_threat_is_named_by_norm_and_eps() -> None:
    assert str(ThreatModel()) == "linf 8/255"
    assert str(ThreatModel(norm="l2", eps=0.5)) == "l2 0.5"


@pytest.mark.parametrize("text", ["", "eight", "8/0", "8/x"])
def test_what_is_no_number_is_no_eps(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a number: .* .write 0.03, 3e-2 or 8/255."):
        number(text)


def test_wider_bounds_allow_a_wider_linf_ball() -> None:
    threat = ThreatModel(eps=2.0, bounds=(-1.0, 3.0))
    assert threat.project(torch.tensor([[9.0]]), torch.tensor([[0.5]])).item() == 2.5
    with pytest.raises(ValueError, match=r"eps must lie in \[0, 4\] for linf, got 5"):
        ThreatModel(eps=5.0, bounds=(-1.0, 3.0))


@pytest.mark.parametrize("norm", NORMS)
def test_no_images_at_all_are_projected_onto_none(norm: NormName) -> None:
    nothing, threat = torch.empty(0, 1, 4, 4), ThreatModel(norm=norm, eps=0.5)
    assert threat.projector(nothing)(nothing).shape == threat.project(nothing, nothing).shape == nothing.shape
