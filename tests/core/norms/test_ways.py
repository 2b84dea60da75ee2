"""Searching and sorting find the same projections, and an eps for each example is as many attacks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from kernels import Counting
from torch import Tensor

from robustcnn.core.norms import NORMS, NormName, sorted_root
from robustcnn.core.runtime import seeded
from robustcnn.core.threat import ThreatModel

BOUNDS = (0.0, 1.0)


@pytest.fixture
def kinds() -> Iterator[set[str]]:
    before = set(sorted_root.SEARCHED)
    yield sorted_root.SEARCHED
    sorted_root.SEARCHED.clear()
    sorted_root.SEARCHED.update(before)


def scene(kind: str, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Grey pictures, black and white ones whose pixels are at their bounds, or changes of twelve decades."""
    origin = torch.rand(8, 3, 9, 9, generator=seeded(0), dtype=dtype)
    change = torch.randn(origin.shape, generator=seeded(1), dtype=dtype)
    if kind == "black and white":
        origin = (origin > 0.7).to(dtype)
    if kind == "decades":
        change = change * 10 ** (-12 * torch.rand(origin.shape, generator=seeded(2), dtype=dtype))
    return origin + change, origin


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", ["grey", "black and white", "decades"])
@pytest.mark.parametrize(("norm", "radius"), [("l2", 0.1), ("l2", 2.0), ("l1", 1.0), ("l1", 12.0)])
def test_searching_and_sorting_agree(norm: str, radius: float, kind: str, dtype: torch.dtype, kinds: set[str]) -> None:
    images, origin = scene(kind, dtype)
    searched = NORMS[norm].project(images, origin, radius, BOUNDS)
    kinds.clear()
    torch.testing.assert_close(NORMS[norm].project(images, origin, radius, BOUNDS), searched, rtol=0, atol=1e-6)
    assert (NORMS[norm].length((searched - origin).double()) <= radius * (1 + 1e-6)).all()


@pytest.mark.parametrize("kind", ["grey", "black and white", "decades"])
@pytest.mark.parametrize(("norm", "radius"), [("l2", 2.0), ("l1", 12.0)])
def test_an_example_gets_the_same_bits_in_any_company(norm: str, radius: float, kind: str) -> None:
    images, origin = scene(kind, torch.float32)
    together = NORMS[norm].project(images, origin, radius, BOUNDS)
    alone = [NORMS[norm].project(*each, radius, BOUNDS) for each in zip(images.split(1), origin.split(1), strict=True)]
    assert torch.equal(together, torch.cat(alone))


@pytest.mark.parametrize(("norm", "radius", "most"), [("l2", 2.0, 6), ("l1", 12.0, 12)])
def test_searching_takes_few_rounds(norm: str, radius: float, most: int) -> None:
    # A sparse step from the sphere, as AutoPGD takes it: l1 once took 22 rounds.
    origin = torch.rand(64, 3, 32, 32, generator=seeded(0))
    change = torch.randn(origin.shape, generator=seeded(1)) / 50
    step = NORMS[norm].steepest(torch.randn(origin.shape, generator=seeded(2)), 0.01)
    images = NORMS[norm].project(origin + change, origin, radius, BOUNDS) + radius * step
    with Counting() as counting:
        NORMS[norm].project(images, origin, radius, BOUNDS)
    assert 2 <= counting.kernels[{"l2": "lt", "l1": "eq"}[norm]] <= most


@pytest.mark.parametrize("norm", list(NORMS))
def test_both_ways_onto_a_plane_agree(norm: str, kinds: set[str]) -> None:
    points, normal = torch.rand(8, 30, generator=seeded(0)), torch.randn(8, 30, generator=seeded(1))
    gap = torch.linspace(-8, 8, 8)
    threat = ThreatModel(norm=norm, eps=1.0)
    searched = threat.onto_plane(points, normal, gap)
    kinds.clear()
    torch.testing.assert_close(threat.onto_plane(points, normal, gap), searched, rtol=0, atol=1e-6)


@pytest.mark.parametrize("norm", list(NORMS))
def test_sorting_leaves_what_is_inside_or_has_not_moved(norm: str, kinds: set[str]) -> None:
    origin = torch.rand(4, 3, 9, 9, generator=seeded(0))
    images = origin.clone()
    # One that has not moved, one that has moved in one pixel, the same with no room for it, and one far out.
    images[1:3, 0, 0, 0] = 1 - images[1:3, 0, 0, 0]
    images[3] = 1 - images[3]
    radius = torch.tensor([0.0, 2.0, 0.0, 0.5]).view(-1, 1, 1, 1)
    kinds.clear()
    found = NORMS[norm].project(images, origin, radius, BOUNDS)
    assert torch.equal(found[:2], images[:2])
    assert torch.equal(found[2], origin[2])
    assert float(NORMS[norm].length(found[3:] - origin[3:])) == pytest.approx(0.5, rel=1e-5)


@pytest.mark.parametrize("norm", list(NORMS))
def test_a_radius_for_each_example_is_one_after_the_other(norm: NormName) -> None:
    images, origin = scene("grey", torch.float64)
    threat, eps = ThreatModel(norm=norm, eps=1.0), torch.linspace(0, 1, len(origin), dtype=torch.float64)
    each = threat.each(eps)
    for row, radius in enumerate(eps.tolist()):
        one, rows = ThreatModel(norm=norm, eps=radius), slice(row, row + 1)
        expected = one.project(images[rows], origin[rows])
        torch.testing.assert_close(each.project(images, origin)[rows], expected, rtol=0, atol=1e-12)
        torch.testing.assert_close(each.of(rows).project(images[rows], origin[rows]), expected, rtol=0, atol=1e-12)
    samples = each.sample(origin, seeded(0))
    assert (each.distance(samples, origin) <= eps * (1 + 1e-9)).all()
    assert torch.equal(each.times(0.5).eps, eps / 2)


def test_radii_that_make_no_sense_are_refused() -> None:
    threat = ThreatModel(norm="linf", eps=0.1)
    with pytest.raises(ValueError, match=r"eps must be floats \(N,\), one an example, got torch.int64 \(2,\)"):
        threat.each(torch.tensor([0, 1]))
    with pytest.raises(ValueError, match="eps must be one number or one for each of 3 examples, got 2"):
        threat.each(torch.tensor([0.1, 0.2])).check_examples(3)
    with pytest.raises(ValueError, match=r"eps must lie in \[0, 1\] for linf, got 2"):
        threat.each(torch.tensor([0.1, 2.0])).check_examples(2)
    with pytest.raises(ValueError, match="eps must be one number here, got one for each of 2 examples"):
        threat.each(torch.tensor([0.1, 0.2])).one_eps  # noqa: B018
