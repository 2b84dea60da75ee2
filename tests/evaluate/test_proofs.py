"""The judge's lower side: what is proven, what attacks are spared, and what happens when the two disagree."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from straight import EPS, STEEPEST, Doing, Linear, balls, examples, room
from torch import Tensor, nn

from robustcnn.attacks.noise import UniformNoise
from robustcnn.certify import radii
from robustcnn.certify.margins import Prover
from robustcnn.core.norms import NormName
from robustcnn.core.plain_data import from_plain, to_plain
from robustcnn.core.results import RobustnessReport
from robustcnn.core.threat import ThreatModel
from robustcnn.data.resident import as_pixels
from robustcnn.evaluate import evaluate
from robustcnn.evaluate.proofs import CHECK
from robustcnn.report.entry import Entry
from robustcnn.report.html import page
from robustcnn.report.tables import comparison, proofs
from robustcnn.tracking.names import report_points


class Bent(Linear):
    """The linear model, less a rectified part that intervals cannot follow."""

    def forward(self, images: Tensor) -> Tensor:
        lead = images.flatten(1) @ self.weight + self.bias
        bend = torch.relu(images.flatten(1) - 0.5).sum(1) - torch.relu(images.flatten(1) - 0.5).sum(1)
        return torch.stack([-lead + bend, lead - bend], 1)


def reported(model: nn.Module, **options: object) -> RobustnessReport:
    return evaluate(model, examples(), [STEEPEST], balls("linf"), block=32, **options)


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_of_a_linear_model_everything_is_decided(norm: NormName) -> None:
    data = examples()
    report = evaluate(Linear(), data, [STEEPEST], balls(norm), block=32, certify="crown")
    far = room(data, norm)
    for eps in EPS[norm]:
        proof = report.proof(norm, eps)
        assert proof is not None
        assert (proof.proven.hits, proof.broken, proof.undecided) == ((far > eps).sum(), (far <= eps).sum(), 0)
        assert sum(each.hits for each in proof.classes) == proof.proven.hits
        assert proof.says.endswith("0.0 undecided")


def test_what_intervals_cannot_follow_is_undecided_and_measured_from_both_sides() -> None:
    report = reported(Bent(), certify="interval")
    proof = report.proofs[1]
    assert proof.undecided > 5
    assert proof.proven.hits + proof.broken + proof.undecided == 80
    (far,) = report.two_sided
    assert all(low <= (high or far.eps) for low, high in zip(far.proven, far.broken, strict=True))
    assert max(far.proven) > 0


def test_proven_examples_are_spared_the_attacks_but_for_the_audit() -> None:
    seen: list[int] = []

    def count(model: nn.Module, images: Tensor, labels: Tensor, threat: ThreatModel) -> Tensor:
        seen.append(len(images))
        return images

    attack = Doing("count", count)
    data = examples()
    evaluate(Linear(), data, [attack], balls("linf")[:1], block=80)
    alone = seen[-1]
    report = evaluate(Linear(), data, [attack], balls("linf")[:1], block=80, certify="interval")
    assert alone - seen[-1] == report.proofs[0].proven.hits > 0
    assert report.proofs[0].audited == report.proofs[0].proven.hits


def test_a_proven_example_that_an_attack_breaks_fails_the_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = reported(Linear(), certify="crown")
    assert not honest.findings
    said: list[str] = []
    monkeypatch.setattr(Prover, "proven", lambda self, *_: torch.ones_like(self.labels).bool())
    report = reported(Linear(), certify="crown", say=said.append)
    assert report.verdict == "fail"
    assert report.findings[0].check == CHECK
    assert "cannot be relied on" in page([Entry(name="m", report=report)]) or "relied on" in report.findings[0].says
    assert any("FAIL" in line for line in said)
    # The wrong proof spares nothing: attacks break what they break without it.
    assert report.threats[-1].robust == honest.threats[-1].robust


def test_a_model_without_a_bound_is_attacked_all_the_same() -> None:
    class Softmaxed(Linear):
        def forward(self, images: Tensor) -> Tensor:
            return super().forward(images).softmax(1).log()

    said: list[str] = []
    report = reported(Softmaxed(), certify="crown", say=said.append)
    assert not report.proofs
    assert report.threats[0].robust.hits
    assert any(line.startswith("no lower bound: ") for line in said)


def test_a_second_call_takes_the_proofs_from_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = reported(Linear(), certify="crown", folder=tmp_path)
    monkeypatch.setattr(Prover, "proven", lambda *_: pytest.fail("proven anew"))
    assert reported(Linear(), certify="crown", folder=tmp_path) == first
    with pytest.raises(ValueError, match="certify"):
        reported(Linear(), certify="interval", folder=tmp_path)


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(ValueError, match=r"unknown method to certify 'crwn'.*crown"):
        reported(Linear(), certify="crwn")


def test_the_report_shows_both_sides_everywhere() -> None:
    report = reported(Bent(), certify="interval")
    assert from_plain(RobustnessReport, to_plain(report)) == report
    entry = Entry(name="bent", report=report)
    text = comparison([entry]).text()
    assert "proven robust, linf 8/255" in text
    assert "undecided, linf 8/255" in text
    assert proofs(entry).columns[-2:] == ("no", "yes")
    html = page([entry])
    assert report.proofs[1].says in html
    assert "both sides" in html
    points = {(point.key, point.step): point.value for point in report_points(report)}
    assert points["certified/linf_8", 0] == points["curve/certified_linf", 8] == report.proofs[1].proven.value
    assert points["certified/undecided_linf_8", 0] == report.proofs[1].undecided / 80


def test_radii_of_a_linear_model_are_the_distances_to_its_boundary() -> None:
    data = examples()
    threat = ThreatModel(norm="linf", eps=0.1)
    found = radii(Linear(), as_pixels(data.images), data.labels, threat, rounds=10)
    far = room(data, "linf").clamp(0, 0.1)
    assert (found <= far + 1e-6).all()
    assert ((far - found) < 0.1 / 1000 + 1e-4).all()


@pytest.mark.filterwarnings("ignore:.*DLR loss:UserWarning")
def test_proven_examples_are_spared_the_audit() -> None:
    data = examples()
    options = {"attacks": [UniformNoise()], "threats": balls("linf")[:1], "block": 80, "audit": 80}
    plain, beside = (evaluate(Linear(), data, certify=method, **options) for method in (None, "crown"))
    ours, theirs = beside.threats[0].audit, plain.threats[0].audit
    assert (ours.proven, theirs.proven) == (beside.proofs[0].proven.hits, 0)
    assert ours.drawn == ours.stood - ours.proven > 0
    assert ours.value == theirs.value
