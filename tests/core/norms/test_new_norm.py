"""A norm that nobody foresaw is one class: attacks, the judge and the tables take it as they take the others."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from robustcnn.attacks import APGD, DDN, FAB, FMN, PGD, AutoAttack, DeepFool, Square
from robustcnn.attacks.base import Guarded
from robustcnn.core.norms import NORMS, register
from robustcnn.core.norms.batched import draw, length_of
from robustcnn.core.norms.linf import Linf
from robustcnn.core.norms.norm import Bounds, Radius
from robustcnn.core.norms.plane import along
from robustcnn.core.spec import ImageSpec
from robustcnn.core.threat import ThreatModel
from robustcnn.data import ResidentDataset
from robustcnn.evaluate import evaluate

WEIGHT = torch.tensor([[[0.25, 1.0], [2.0, 0.5]]])
"""How far each of four pixels may go, in units of eps."""


class Weighted(Linf):
    """linf with an eps for each pixel."""

    name, order, windows = "weighted", None, None

    def project(self, images: Tensor, origin: Tensor, radius: Radius, bounds: Bounds) -> Tensor:
        return (origin + self.shrink(images - origin, radius)).clamp(*bounds)

    def shrink(self, change: Tensor, length: Radius) -> Tensor:
        most = length * WEIGHT.to(change)
        return change.maximum(-most).minimum(most)

    def steepest(self, gradient: Tensor, share: float | Tensor) -> Tensor:  # noqa: ARG002
        return gradient.sign() * WEIGHT.to(gradient)

    def length(self, change: Tensor) -> Tensor:
        return length_of(change / WEIGHT.to(change), float("inf"))

    def dual(self, gradient: Tensor) -> Tensor:
        return length_of(gradient * WEIGHT.to(gradient), 1)

    def ball(self, like: Tensor, radius: Radius, generator: torch.Generator) -> Tensor:
        return (2 * draw(torch.rand, like, generator) - 1) * radius * WEIGHT.to(like)

    def surface(self, like: Tensor, radius: Radius, generator: torch.Generator) -> Tensor:
        direction = self.ball(like, radius, generator)
        return radius * direction / self.length(direction)

    def plane_moves(self, weight: Tensor, room: Tensor, need: Tensor) -> Tensor:
        return along(weight.sign() * WEIGHT.to(weight).flatten(), weight, room, need)


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    register(Weighted())
    yield
    del NORMS["weighted"]


class Line(nn.Module):
    """Two classes, whose logits differ by a linear function of four pixels."""

    def __init__(self, slope: Tensor) -> None:
        super().__init__()
        self.slope = nn.Parameter(slope)

    def forward(self, images: Tensor) -> Tensor:
        lead = (images.flatten(1) - 0.5) @ self.slope
        return torch.stack([lead, -lead], 1)


SLOPE = torch.tensor([1.0, -2.0, 0.5, 3.0])
GAIN = float((SLOPE.abs() * WEIGHT.flatten()).sum())
"""Of the lead, for a step of eps 1."""


def pictures(*leads: float) -> Tensor:
    """Images whose lead is this."""
    return torch.stack([(0.5 + lead * SLOPE / SLOPE.square().sum()).reshape(1, 2, 2) for lead in leads])


@pytest.mark.parametrize("attack", [PGD(steps=5), APGD(steps=10, stop=False)], ids=repr)
def test_ascent_reaches_the_worst_case(attack: Guarded) -> None:
    images, threat = pictures(0.5, 1.0), ThreatModel(norm="weighted", eps=0.05)
    attacked = attack(Line(SLOPE), images, torch.zeros(2, dtype=torch.int64), threat)
    leads = (attacked.flatten(1) - 0.5) @ SLOPE
    torch.testing.assert_close(leads, torch.tensor([0.5, 1.0]) - 0.05 * GAIN, rtol=0, atol=1e-5)


@pytest.mark.parametrize("attack", [FAB(steps=20), FMN(steps=300), DeepFool()], ids=repr)
def test_minimal_attacks_find_the_distance(attack: Guarded) -> None:
    images, threat = pictures(0.2, 0.4), ThreatModel(norm="weighted", eps=1.0)
    attacked = attack(Line(SLOPE), images, torch.zeros(2, dtype=torch.int64), threat)
    torch.testing.assert_close(threat.distance(attacked, images), torch.tensor([0.2, 0.4]) / GAIN, rtol=0.06, atol=0)


def test_a_report_counts_what_a_formula_counts() -> None:
    images = pictures(*(0.05 * step for step in range(1, 11)))
    spec = ImageSpec(channels=1, height=2, width=2, classes=("low", "high"), mean=(0.5,), std=(0.5,))
    data = ResidentDataset(images=(255 * images).round().byte(), labels=torch.zeros(10, dtype=torch.int64), spec=spec)
    threats = [ThreatModel(norm="weighted", eps=eps) for eps in (0.02, 0.07)]
    with pytest.warns(UserWarning, match="AutoAttack runs without Square in weighted|DLR loss needs|slower"):
        report = evaluate(Line(SLOPE), data, attacks=[PGD(steps=5), AutoAttack()], threats=threats)
    leads = (data.images / 255 - 0.5).flatten(1) @ SLOPE
    for threat, score in zip(threats, report.threats, strict=True):
        assert score.robust.hits == int((leads > threat.eps * GAIN).sum())
    assert "weighted" in report.threats[0].attacks[0].distances
    assert str(threats[0]) == "weighted 0.02"


def test_what_knows_other_norms_alone_says_so() -> None:
    threat, labels = ThreatModel(norm="weighted", eps=0.1), torch.zeros(1, dtype=torch.int64)
    with pytest.raises(ValueError, match="DDN knows l2, got weighted"):
        DDN()(Line(SLOPE), pictures(0.5), labels, threat)
    with pytest.raises(ValueError, match="Square knows linf, l2, l1, got weighted"):
        Square()(Line(SLOPE), pictures(0.5), labels, threat)


def test_an_unknown_norm_is_refused_by_the_names_of_the_known() -> None:
    with pytest.raises(ValueError, match="norm must be one of linf, l2, l1, weighted, got 'l0'"):
        ThreatModel(norm="l0")
