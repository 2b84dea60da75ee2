"""The projection on a hyperplane inside a box, against scipy's linear and quadratic programs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import linprog, minimize
from torch import Tensor

from robustcnn.core.norms import NORMS, NormName
from robustcnn.core.norms.plane import onto_plane
from robustcnn.core.runtime import seeded

PIXELS, COUNT = 7, 24
BOUNDS = (0.0, 1.0)

ORDER = {"linf": float("inf"), "l2": 2, "l1": 1}


def problems(share: float) -> tuple[Tensor, Tensor, Tensor]:
    """Points, normals and gaps at this share of what the box allows: towards 1 most pixels end at a bound."""
    generator = seeded(0)
    points = torch.rand(COUNT, PIXELS, generator=generator, dtype=torch.float64)
    normal = torch.randn(COUNT, PIXELS, generator=generator, dtype=torch.float64)
    sign = torch.randint(0, 2, (COUNT, 1), generator=generator) * 2.0 - 1
    room = torch.where(normal * sign > 0, 1 - points, points)
    return points, normal, sign.squeeze(1) * share * (normal.abs() * room).sum(1)


def reference_distance(point: Tensor, normal: Tensor, gap: float, norm: NormName) -> float:
    x, w = point.numpy(), normal.numpy()
    if norm == "l2":
        level = gap + float(w @ x)
        constraint = {"type": "eq", "fun": lambda z: z @ w - level, "jac": lambda _: w}
        found = minimize(
            lambda z: ((z - x) ** 2).sum(),
            np.full(PIXELS, 0.5),
            jac=lambda z: 2 * (z - x),
            bounds=[BOUNDS] * PIXELS,
            constraints=[constraint],
            method="SLSQP",
            options={"ftol": 1e-14, "maxiter": 500},
        )
        return float(np.sqrt(found.fun))
    # Variables: up and down moves, then (linf only) the largest of them.
    limits = [(0, 1 - v) for v in x] + [(0, v) for v in x]
    equality = np.concatenate([w, -w])[None]
    if norm == "l1":
        return float(linprog(np.ones(2 * PIXELS), A_eq=equality, b_eq=[gap], bounds=limits).fun)
    below = np.hstack([np.eye(2 * PIXELS), -np.ones((2 * PIXELS, 1))])
    cost = np.zeros(2 * PIXELS + 1)
    cost[-1] = 1
    equality = np.hstack([equality, np.zeros((1, 1))])
    solved = linprog(cost, A_ub=below, b_ub=np.zeros(2 * PIXELS), A_eq=equality, b_eq=[gap], bounds=[*limits, (0, 1)])
    return float(solved.fun)


@pytest.mark.parametrize("share", [0.02, 0.5, 0.97])
@pytest.mark.parametrize("norm", NORMS)
def test_no_point_of_hyperplane_and_box_is_nearer(norm: NormName, share: float) -> None:
    points, normal, gap = problems(share)
    found = onto_plane(points, normal, gap, norm=NORMS[norm], bounds=BOUNDS)
    assert found.min() >= 0
    assert found.max() <= 1
    torch.testing.assert_close(((found - points) * normal).sum(1), gap)
    distance = torch.linalg.vector_norm(found - points, ORDER[norm], dim=1)
    best = torch.tensor([reference_distance(p, w, float(g), norm) for p, w, g in zip(points, normal, gap, strict=True)])
    torch.testing.assert_close(distance, best.double(), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(("norm", "dual"), [("linf", 1), ("l2", 2), ("l1", float("inf"))])
def test_away_from_the_bounds_the_distance_is_the_gap_over_the_dual_norm(norm: NormName, dual: float) -> None:
    generator = seeded(1)
    normal = torch.randn(50, 3, 8, 8, generator=generator)
    gap = torch.rand(50, generator=generator) * 0.1 - 0.05
    points = torch.full((50, 3, 8, 8), 0.5)
    found = onto_plane(points, normal, gap, norm=NORMS[norm], bounds=BOUNDS)
    distance = torch.linalg.vector_norm((found - points).flatten(1), ORDER[norm], dim=1)
    expected = gap.abs() / torch.linalg.vector_norm(normal.flatten(1), dual, dim=1)
    torch.testing.assert_close(distance, expected, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("norm", NORMS)
def test_a_hyperplane_out_of_reach_gives_the_nearest_corner(norm: NormName) -> None:
    points, normal, gap = problems(1.5)
    found = onto_plane(points, normal, gap, norm=NORMS[norm], bounds=BOUNDS)
    torch.testing.assert_close(found, (normal * gap[:, None] > 0).double())


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
@pytest.mark.parametrize("norm", NORMS)
def test_the_scale_of_the_normal_does_not_matter(norm: NormName, scale: float) -> None:
    points, normal, gap = (tensor.float() for tensor in problems(0.3))
    expected = onto_plane(points, normal, gap, norm=NORMS[norm], bounds=BOUNDS)
    scaled = onto_plane(points, normal * scale, gap * scale, norm=NORMS[norm], bounds=BOUNDS)
    torch.testing.assert_close(scaled, expected)


@pytest.mark.parametrize("norm", NORMS)
def test_a_vanished_normal_moves_nothing(norm: NormName) -> None:
    points, normal, gap = problems(0.3)
    found = onto_plane(points, normal * 0, gap, norm=NORMS[norm], bounds=BOUNDS)
    assert torch.equal(found, points)
