"""Smoothing a linear model changes none of its answers, and its certificates have a closed form."""

from __future__ import annotations

import json

import pytest
import torch
from scipy.stats import binomtest, norm
from torch import Tensor, nn

from robustcnn.attacks import PGD
from robustcnn.certify.smoothing import least_share
from robustcnn.core.plain_data import from_plain, to_plain
from robustcnn.core.runtime import seeded
from robustcnn.core.threat import ThreatModel
from robustcnn.data.resident import ResidentDataset, spec_of
from robustcnn.defences import Certificates, Smoothed, certify

SIGMA = 0.25
DRAWS = 20_000


class Half(nn.Module):
    """Two classes, either side of a plane through the middle of the pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(16, generator=seeded(2)))

    def lead(self, images: Tensor) -> Tensor:
        return (images.flatten(1) - 0.5) @ self.weight

    def forward(self, images: Tensor) -> Tensor:
        lead = self.lead(images)
        return torch.stack([-lead, lead], 1)


@pytest.fixture
def model() -> Half:
    return Half().eval()


@pytest.fixture
def data(model: Half) -> ResidentDataset:
    """Twelve images far and near, every fourth of which has the other label."""
    images = torch.rand(12, 1, 4, 4, generator=seeded(1)).mul_(0.6).add_(0.2)
    labels = model(images).argmax(1)
    labels[::4] = 1 - labels[::4]
    return ResidentDataset(images=images, labels=labels, spec=spec_of(images, ("no", "yes")), name="grey")


def distance(model: Half, data: ResidentDataset) -> Tensor:
    return (model.lead(data.images).abs() / model.weight.norm()).detach()


def certified(model: nn.Module, data: ResidentDataset) -> Certificates:
    return certify(model, data, sigma=SIGMA, draws=DRAWS, batch_size=7000)


def test_a_certificate_comes_near_to_the_distance_of_a_linear_boundary_and_never_exceeds_it(
    model: Half, data: ResidentDataset
) -> None:
    radii, far = torch.tensor(certified(model, data).radii), distance(model, data)
    assert (radii <= far).all()
    assert far.min() < 0.05 < 0.3 < far.max()
    torch.testing.assert_close(radii, far, atol=0.15 * SIGMA, rtol=0)


def test_where_all_draws_agree_the_radius_is_what_so_many_draws_can_tell(data: ResidentDataset) -> None:
    always = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
    with torch.no_grad():
        always[1].weight.zero_()
        always[1].bias.copy_(torch.tensor([0.0, 1.0]))
    found = certify(always, data, sigma=SIGMA, draws=1000, alpha=0.01)
    assert set(found.answers) == {1}
    assert found.radii == pytest.approx([SIGMA * norm.ppf(0.01 ** (1 / 1000))] * 12)


@pytest.mark.parametrize(("hits", "count"), [(0, 10), (1, 10), (511, 1000), (997, 1000), (1000, 1000)])
def test_the_least_share_is_clopper_and_pearsons(hits: int, count: int) -> None:
    # A two-sided interval of 99.8 % leaves 0.1 % on either side.
    expected = binomtest(hits, count).proportion_ci(0.998, method="exact").low
    assert least_share(hits, count, 0.001) == pytest.approx(expected, abs=1e-12)


def test_it_abstains_where_the_two_classes_are_equally_near(model: Half, data: ResidentDataset) -> None:
    images = data.images.clone()
    images[0] = 0.5
    middle = ResidentDataset(images=images, labels=data.labels, spec=data.spec)
    found = certified(model, middle)
    assert found.answers[0] is None
    assert found.radii[0] == 0
    assert found.abstained.hits == 1 + sum(answer is None for answer in found.answers[1:])


def test_certified_accuracy_counts_the_right_ones_within_reach(model: Half, data: ResidentDataset) -> None:
    found = Certificates(
        sigma=1.0, draws=10, alpha=0.1, labels=(0, 1, 1, 0), answers=(0, 1, None, 1), radii=(0.2, 0.5, 0.0, 0.9)
    )
    assert [share.hits for _, share in found.curve((0, 0.2, 0.3, 0.6))] == [2, 2, 1, 0]
    assert found.accuracy(0).count == 4
    real = certified(model, data)
    assert real.accuracy(0).hits == 9 - sum(real.answers[row] is None for row in range(12) if row % 4)


def test_certificates_survive_json(model: Half, data: ResidentDataset) -> None:
    found = certify(model, data.subset(3), sigma=SIGMA, draws=100)
    assert from_plain(Certificates, json.loads(json.dumps(to_plain(found)))) == found


def test_no_attack_gets_within_a_certificate_but_one_does_beyond_the_distance(
    model: Half, data: ResidentDataset
) -> None:
    smoothed, answers = Smoothed(model, sigma=SIGMA, draws=64), model(data.images).argmax(1)
    radii, far = torch.tensor(certified(model, data).radii), distance(model, data)
    for row in range(len(data)):
        image, label = data.images[row : row + 1], answers[row : row + 1]
        for eps, stands in ((radii[row], True), (1.05 * far[row] + 0.01, False)):
            found = PGD(steps=10, eot=2)(smoothed, image, label, ThreatModel(norm="l2", eps=eps.item()))
            assert bool(model(found).argmax(1) == label) == stands


def test_a_smoothed_model_answers_the_mean_probability(model: Half, data: ResidentDataset) -> None:
    given = Smoothed(model, sigma=SIGMA, draws=5, seed=3)(data.images)
    noise = SIGMA * torch.randn(5, 1, 4, 4, generator=seeded(3))
    expected = torch.stack([model(data.images + each).softmax(1) for each in noise]).mean(0)
    torch.testing.assert_close(given.exp(), expected)


def test_a_seed_makes_answers_repeatable_and_without_one_every_look_differs(model: Half, data: ResidentDataset) -> None:
    settled, anew = Smoothed(model, sigma=SIGMA, seed=0), Smoothed(model, sigma=SIGMA)
    torch.testing.assert_close(settled(data.images)[4:6], settled(data.images[4:6]))
    assert not torch.equal(anew(data.images), anew(data.images))


def test_what_cannot_be_smoothed_or_certified_is_refused(model: Half, data: ResidentDataset) -> None:
    with pytest.raises(ValueError, match=r"sigma is the noise's standard deviation .* must be positive, got 0"):
        Smoothed(model, sigma=0)
    with pytest.raises(ValueError, match="draws must be at least 1, got 0"):
        certify(model, data, sigma=1, draws=0)
    with pytest.raises(ValueError, match=r"alpha .* must lie in \(0, 0.5\), got 0.7"):
        certify(model, data, sigma=1, alpha=0.7)
    with pytest.raises(ValueError, match=r"give smoothed\.model"):
        certify(Smoothed(model, sigma=1), data, sigma=1)
