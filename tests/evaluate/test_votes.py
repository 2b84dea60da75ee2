"""Randomised smoothing in the report: certificates beside attacks, of a linear model whose radii are known."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from straight import STEEPEST, Doing, Linear, balls, examples, room
from torch import Tensor, nn

from robustcnn.certify import Certificates
from robustcnn.certify.smoothing import smoothed
from robustcnn.core.broken_by import BrokenBy
from robustcnn.core.plain_data import from_plain, to_plain
from robustcnn.core.results import RobustnessReport
from robustcnn.core.runtime import derived_seed, seeded
from robustcnn.core.threat import ThreatModel
from robustcnn.defences import Smoothed
from robustcnn.evaluate import Plan, evaluate, judge, votes
from robustcnn.evaluate.proofs import CHECK
from robustcnn.report.entry import Entry
from robustcnn.report.html import page
from robustcnn.report.tables import comparison, proofs
from robustcnn.tracking.names import report_points

SIGMA = 0.1
BALLS = (0.05, 0.1)


def reported(model: nn.Module | None = None, **options: Any) -> RobustnessReport:
    model = Smoothed(Linear(), sigma=SIGMA, draws=8, seed=0) if model is None else model
    options = {"threats": balls("l2", *BALLS), "attacks": [STEEPEST], "certify": "smoothing"} | options
    return evaluate(model, examples(), block=32, **options)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many examples certificates were drawn for, call by call."""
    seen: list[int] = []

    def counted(model: nn.Module, data: Any, **options: Any) -> Certificates:
        seen.append(len(data))
        return smoothed(model, data, **options)

    monkeypatch.setattr(votes, "smoothed", counted)
    return seen


def test_proven_is_what_the_certificates_say() -> None:
    report, data = reported(), examples()
    drawn = smoothed(Linear(), data, sigma=SIGMA, generator=seeded(derived_seed(0, "smoothing", 0)))
    assert [each.proven for each in report.proofs] == [share for _, share in drawn.curve(BALLS)]
    far = room(data, "l2")
    for proof in report.proofs:
        # Nearly all of what is that far from the boundary, and nothing nearer.
        assert (far > 1.3 * proof.eps).sum() <= proof.proven.hits <= (far > proof.eps).sum()
        assert sum(each.hits for each in proof.classes) == proof.proven.hits
    assert 0 < report.proofs[1].proven.hits < report.proofs[0].proven.hits


def test_radii_are_drawn_once_for_all_balls_and_kept(tmp_path: Path, calls: list[int]) -> None:
    first = reported(folder=tmp_path)
    certified = [count for count in calls if count == len(examples())]
    assert certified == [80]
    calls.clear()
    assert reported(folder=tmp_path) == first
    assert 80 not in calls


def test_another_sigma_takes_nothing_from_the_folder(tmp_path: Path, calls: list[int]) -> None:
    reported(folder=tmp_path)
    wider = Smoothed(Linear(), sigma=SIGMA * 1.001, draws=8, seed=0)
    reported(wider, folder=tmp_path)
    assert calls.count(80) == 2


@pytest.mark.filterwarnings("ignore:attacking the plain model:UserWarning")
def test_a_model_without_a_seed_of_its_own_is_resumed_alike(tmp_path: Path) -> None:
    model = Smoothed(Linear(), sigma=SIGMA, draws=8)
    first = reported(model, folder=tmp_path)
    assert reported(model, folder=tmp_path) == first
    assert first.proofs[0].proven == reported().proofs[0].proven


def test_certified_examples_are_attacked_like_all_others() -> None:
    seen: list[int] = []

    def count(model: nn.Module, images: Tensor, labels: Tensor, threat: ThreatModel) -> Tensor:
        seen.append(len(images))
        return images

    attack = Doing("count", count)
    ball = balls("l2", *BALLS)[:1]
    for certify in (None, "smoothing"):
        reported(attacks=[attack], threats=ball, certify=certify)
    half = len(seen) // 2
    assert seen[:half] == seen[half:]


def test_what_is_certified_and_broken_counts_on_both_sides_and_fails_nothing(calls: list[int]) -> None:
    """One draw of much noise: the sample is often wrong where the majority is not."""
    model = Smoothed(Linear(), sigma=0.3, draws=1, seed=3)
    data, threats = examples(), balls("l2", *BALLS)
    plan = Plan(attacks=(STEEPEST,), threats=threats, precision="fp32", block=80, seed=0, certify="smoothing")
    judged = judge(model, data, plan)
    reach = torch.tensor(smoothed(Linear(), data, sigma=0.3, generator=seeded(derived_seed(0, "smoothing", 0))).reaches)
    for proof, evidence in zip(judged.report.proofs, judged.evidence, strict=True):
        proven, broken = reach >= proof.eps, evidence.broken_by != BrokenBy.STANDING
        both = int((proven & broken).sum())
        assert proof.both == proof.audited == both > 0
        assert (proof.proven.hits, proof.broken) == (proven.sum(), broken.sum())
        assert proof.undecided == (~proven & ~broken).sum()
        assert proof.contradicted == 0
        assert f"{100 * both / 80:.1f} % both certified and broken" in proof.says
    assert calls[1:] == [proof.both for proof in judged.report.proofs]
    assert not judged.report.findings


def test_certificates_that_the_majority_loses_fail_the_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Certificates, "reaches", property(lambda self: (9.0,) * len(self.labels)))
    report = reported()
    assert report.proofs[0].contradicted > 5
    assert report.findings[0].check == CHECK
    assert report.verdict == "fail"


def test_one_lost_certificate_of_many_is_explained_by_chance() -> None:
    many = from_plain(RobustnessReport, to_plain(reported())).proofs[0]
    proven = many.proven.of(500, 1000)

    def lost(count: int) -> bool:
        plain = to_plain(many) | {"proven": to_plain(proven), "contradicted": count}
        return not votes.explained(from_plain(type(many), plain))

    # Of 500, each wrong with 0.2 % at most: one is expected, and twenty never happen.
    assert [lost(count) for count in (0, 1, 20)] == [False, False, True]


def test_undecided_examples_are_measured_by_their_own_radii() -> None:
    report = reported()
    (far,) = report.two_sided
    assert (far.method, far.eps) == ("smoothing", BALLS[-1])
    assert all(reach < far.eps for reach in far.proven)
    assert max(far.proven) > BALLS[0]
    reaches = smoothed(Linear(), examples(), sigma=SIGMA, generator=seeded(derived_seed(0, "smoothing", 0))).reaches
    assert set(far.proven) <= {max(0.0, reach) for reach in reaches}


@pytest.mark.parametrize(
    ("model", "threats", "says"),
    [
        (Linear(), balls("l2", *BALLS), r"no lower bound: smoothing certifies a Smoothed model, got Linear \(wrap it"),
        (
            Smoothed(Linear(), sigma=SIGMA, draws=8, seed=0),
            balls("linf", 0.01),
            r"no lower bound: smoothing certifies l2 balls, got linf \(ask for l2 alone: --norm l2\)",
        ),
    ],
    ids=["no Smoothed", "linf"],
)
def test_what_smoothing_cannot_certify_is_told_in_a_line_and_attacked(
    model: nn.Module, threats: tuple[ThreatModel, ...], says: str, calls: list[int]
) -> None:
    said: list[str] = []
    report = reported(model, threats=threats, say=said.append)
    (line,) = [line for line in said if line.startswith("no lower bound")]
    assert re.match(says, line)
    assert not report.proofs
    assert not calls
    assert report.threats[0].robust.hits


def test_an_object_with_the_same_attributes_is_no_smoothed_model() -> None:
    class Alike(Linear):
        sigma, draws, seed = SIGMA, 8, 0

    said: list[str] = []
    assert not reported(Alike(), say=said.append).proofs
    assert any("got Alike" in line for line in said)


def test_the_report_shows_certificates_everywhere() -> None:
    said: list[str] = []
    report = reported(say=said.append)
    assert from_plain(RobustnessReport, to_plain(report)) == report
    first = report.proofs[0]
    assert first.votes is not None
    assert "probability 99.9 %, by 10,000 draws of noise of sigma 0.1" in first.votes.says
    assert "over 8 draws" in first.votes.says
    assert sum(first.votes.says in line for line in said) == 1
    entry = Entry(name="smooth", report=report)
    assert "proven robust, l2 0.05" in comparison([entry]).text()
    assert "smoothing" in proofs(entry).text()
    html = page([entry])
    assert html.count(first.votes.says) == 1
    assert first.says in html
    points = {(point.key, point.step): point.value for point in report_points(report)}
    assert points["certified/l2_0.05", 0] == points["curve/certified_l2", 50] == first.proven.value
