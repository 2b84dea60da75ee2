"""The Frechet distance against closed forms and an independent computation."""

from __future__ import annotations

import numpy
import pytest
import scipy.linalg
import torch
from gan_examples import blobs
from torch import Tensor

from robustcnn.core.runtime import global_seed, seeded
from robustcnn.data.resident import as_pixels
from robustcnn.models import build
from robustcnn.train.gan.frechet import frechet_distance, gaussian_distance, penultimate_features, random_features
from robustcnn.train.gan.latents import interpolated, sample_latents


def covariance(size: int, seed: int) -> Tensor:
    root = torch.randn(size, size + 3, generator=seeded(seed), dtype=torch.float64)
    return root @ root.T / size


def test_of_one_dimension_it_is_the_difference_of_means_and_of_deviations() -> None:
    # Normal(1, 2^2) and Normal(4, 3^2): (4 - 1)^2 + (3 - 2)^2.
    distance = gaussian_distance(torch.ones(1), torch.full((1, 1), 4.0), torch.full((1,), 4.0), torch.full((1, 1), 9.0))
    assert distance == pytest.approx(10)


def test_of_independent_dimensions_it_is_their_sum() -> None:
    variances = torch.tensor([[1.0, 4.0, 9.0], [4.0, 4.0, 0.25]])
    distance = gaussian_distance(torch.zeros(3), variances[0].diag(), torch.zeros(3), variances[1].diag())
    assert distance == pytest.approx((1 - 2) ** 2 + 0 + (3 - 0.5) ** 2)


@pytest.mark.parametrize("size", [2, 20])
def test_of_any_covariances_it_is_what_a_matrix_square_root_gives(size: int) -> None:
    ours, theirs = covariance(size, 0), covariance(size, 1)
    middle = torch.linspace(-1, 1, size, dtype=torch.float64)
    root = scipy.linalg.sqrtm(ours.numpy() @ theirs.numpy()).real
    expected = (2 * middle).square().sum().item() + numpy.trace(ours.numpy() + theirs.numpy() - 2 * root)
    assert gaussian_distance(middle, ours, -middle, theirs) == pytest.approx(expected, rel=1e-9)


def test_it_is_symmetric_and_nothing_between_equals_also_of_less_than_full_rank() -> None:
    ours, theirs = covariance(6, 0), covariance(6, 1)
    mean = torch.zeros(6)
    there, back = gaussian_distance(mean, ours, mean, theirs), gaussian_distance(mean, theirs, mean, ours)
    assert there == pytest.approx(back, rel=1e-9)
    flat = torch.zeros(6, 6).double()
    flat[0, 0] = 1.0
    assert gaussian_distance(mean, flat, mean, flat) == pytest.approx(0, abs=1e-12)
    assert gaussian_distance(mean, ours, mean, ours) == pytest.approx(0, abs=1e-10)


def test_of_samples_it_nears_that_of_the_gaussians_they_were_drawn_from() -> None:
    roots = [torch.linalg.cholesky(covariance(5, seed)) for seed in (0, 1)]
    drawn = [
        torch.randn(200_000, 5, generator=seeded(9 + side), dtype=torch.float64) @ root.T + side
        for side, root in enumerate(roots)
    ]
    known = gaussian_distance(torch.zeros(5), roots[0] @ roots[0].T, torch.ones(5), roots[1] @ roots[1].T)
    assert frechet_distance(*drawn) == pytest.approx(known, rel=0.02)


def test_one_example_has_no_covariance() -> None:
    with pytest.raises(ValueError, match=r"features must be \(N, D\) of at least 2 examples, got \(1, 4\)"):
        frechet_distance(torch.zeros(1, 4), torch.zeros(3, 4))


def test_the_random_network_is_always_the_same_and_leaves_the_callers_chance_alone() -> None:
    data = blobs()
    images = as_pixels(data.images)
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    first = random_features(data.spec)(images)
    assert torch.equal(torch.rand(1), expected)
    assert torch.equal(first, random_features(data.spec)(images))
    assert first.shape == (len(data), 64)


def test_the_random_network_tells_pictures_from_noise_and_halves_of_a_set_from_nothing() -> None:
    data = blobs(400)
    features = random_features(data.spec)
    images = as_pixels(data.images)
    noise = images.flatten(1)[:, torch.randperm(256, generator=seeded(0))].view_as(images)
    halves = frechet_distance(features(images[:200]), features(images[200:]))
    shuffled = frechet_distance(features(images[:200]), features(noise[200:]))
    assert shuffled > 5 * halves


def test_a_classifiers_features_are_what_its_last_layer_sees() -> None:
    data = blobs()
    with global_seed(0):
        model = build("smallcnn", data.spec, width=0.05)
    features = penultimate_features(model)(as_pixels(data.images))
    assert model.training
    assert not [hook for module in model.modules() for hook in module._forward_pre_hooks]
    torch.testing.assert_close(model.net[-1](features), model.eval()(as_pixels(data.images)))


def test_a_network_without_a_linear_layer_has_no_features() -> None:
    with pytest.raises(ValueError, match="before the last linear layer, but Conv2d has none"):
        penultimate_features(torch.nn.Conv2d(1, 1, 1))


def test_interpolation_keeps_to_the_arc_between_its_ends() -> None:
    start, end = sample_latents(8, 50, seed=0, purpose="test").chunk(2)
    unit = [each / each.norm(dim=1, keepdim=True) for each in (start, end)]
    path = interpolated(*unit, steps=5)
    assert path.shape == (4, 5, 50)
    torch.testing.assert_close(path[:, 0], unit[0])
    torch.testing.assert_close(path[:, -1], unit[1])
    torch.testing.assert_close(path.norm(dim=2), torch.ones(4, 5))
    steps = (path[:, 1:] * path[:, :-1]).sum(2).clamp(-1, 1).acos()
    torch.testing.assert_close(steps, steps[:, :1].expand_as(steps), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(interpolated(start, start, steps=3)[:, 1], start, rtol=1e-3, atol=1e-3)
    with pytest.raises(ValueError, match="steps count both ends and must be at least 2, got 1"):
        interpolated(start, end, steps=1)
