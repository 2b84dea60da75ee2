"""The checks find what is wrong with a model's gradients, and nothing wrong with healthy models."""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import pytest
import torch
from checked_networks import DATA, victim
from sick_models import Changed, straight_through
from torch import Tensor, nn

from robustcnn.core.norms import NormName
from robustcnn.core.results import Finding, passed
from robustcnn.core.threat import ThreatModel
from robustcnn.data.resident import as_pixels
from robustcnn.evaluate.checks.bench import Bench
from robustcnn.evaluate.checks.gradients import not_shattered
from robustcnn.evaluate.checks.run import run_checks

THREAT = ThreatModel(norm="linf", eps=0.1)


def troubles(model: nn.Module, *, threat: ThreatModel = THREAT, count: int = 40) -> dict[str, Finding]:
    findings = run_checks(model, DATA, threat, count=count)
    return {each.check: each for each in findings if each.speaks_up}


CASES = [
    ("linear", "linf", 0.02),
    ("linear", "linf", 0.5),
    ("network", "linf", 0.05),
    ("network with batch norm", "linf", 0.1),
    ("robust network", "linf", 0.1),
    ("network", "l2", 0.5),
    ("robust network", "l2", 0.5),
    pytest.param("network", "l1", 2.0, marks=pytest.mark.slow),
    pytest.param("robust network", "l1", 4.0, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("kind", "norm", "eps"), CASES)
def test_healthy_models_pass_every_check(kind: str, norm: NormName, eps: float) -> None:
    assert troubles(victim(kind), threat=ThreatModel(norm=norm, eps=eps)) == {}


def test_a_model_without_any_robustness_is_healthy() -> None:
    findings = run_checks(victim("network"), DATA, ThreatModel(norm="linf", eps=0.5), count=40)
    assert not [each.says for each in findings if each.speaks_up]
    curve = next(each for each in findings if each.check == "monotone curve")
    assert "0 at 0.5, 0 at 1" in curve.says


NEED_STANDING = (
    "stronger than one step",
    "stronger than noise",
    "stronger than black box",
    "stronger than labels alone",
    "stronger than estimates",
    "stronger than transfer",
    "stronger than averaged gradients",
    "stronger than foolbox",
    "enough steps",
    "enough restarts",
    "enough aims",
    "long enough steps",
    "off-grid detector",
    "points too good",
)


def test_where_nothing_is_left_to_attack_nothing_was_tested() -> None:
    findings = run_checks(victim("network"), DATA, ThreatModel(norm="linf", eps=0.5), count=40)
    idle = {each.check for each in findings if not each.tested}
    # A plain network holds no other one, has no steps to smooth, and draws no numbers.
    assert idle == {*NEED_STANDING, "stronger than the inner network", "stronger than a smooth copy", "enough draws"}
    assert all(each.seconds >= 0 for each in findings)
    assert passed(findings) == f"{34 - len(idle)} of {34 - len(idle)} checks pass, {len(idle)} more had nothing to test"


def test_where_nothing_falls_what_looks_at_successes_was_not_tested() -> None:
    findings = run_checks(victim("network"), DATA, ThreatModel(norm="linf", eps=1e-4), count=40)
    idle = {each.check for each in findings if not each.tested}
    assert {"scale of the logits", "successes survive the judge"} <= idle
    assert not idle & set(NEED_STANDING)


def test_a_model_that_is_always_wrong_has_its_labels_in_another_order_and_no_other_trouble() -> None:
    shifted = Changed(victim("network"), after=lambda scores: scores.roll(1, dims=1))
    findings = run_checks(shifted, DATA.subset(20), THREAT)
    assert [each.check for each in findings if each.speaks_up] == ["label order"]
    assert next(each for each in findings if each.check == "unbounded eps").says.endswith("0 of 0 examples stand")


@pytest.mark.parametrize("label", [0, 2])
def test_examples_of_one_class_and_few_of_them_are_enough(label: int) -> None:
    chosen = DATA.subset((DATA.labels == label).nonzero().flatten()[:7])
    assert not [each.says for each in run_checks(victim("network"), chosen, THREAT) if each.speaks_up]


def test_frozen_weights_and_training_mode_do_no_harm_and_are_left_as_they_were() -> None:
    model = copy.deepcopy(victim("network with batch norm")).requires_grad_(False).train()
    before = copy.deepcopy(model.state_dict())
    assert troubles(model) == {}
    assert model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_log_probabilities_are_as_good_as_logits() -> None:
    assert troubles(Changed(victim("network"), after=lambda scores: scores.log_softmax(1))) == {}


def test_a_model_that_knows_float32_only_is_checked_in_it() -> None:
    def only_float32(images: Tensor) -> Tensor:
        if images.dtype != torch.float32:
            raise TypeError(f"expected float32, got {images.dtype}")
        return images

    picky = Changed(victim("network"), before=only_float32)
    data = replace(DATA, images=as_pixels(DATA.images))
    bench = Bench(model=picky, view=picky, surrogate=picky, data=data, threat=THREAT)
    assert not_shattered(bench).figure == 0
    rounding = replace(bench, model=Changed(picky, before=straight_through(lambda images: (6 * images).round() / 6)))
    assert not_shattered(rounding).verdict == "fail"


SICK = {
    "probabilities": (None, lambda scores: scores.softmax(1), "scores are logits", "fail"),
    "saturated softmax": (None, lambda scores: (1000 * scores).softmax(1), "vanishing gradients", "fail"),
    "steps": (lambda images: (6 * images).round() / 6, None, "vanishing gradients", "fail"),
    "steps hidden from autograd": (
        straight_through(lambda images: (6 * images).round() / 6),
        None,
        "shattered gradients",
        "fail",
    ),
    "signs": (lambda images: (images - 0.3).sign(), None, "unbounded eps", "fail"),
    "root of black": (torch.sqrt, None, "finite gradients", "fail"),
    "clamp": (lambda images: images.clamp(0, 1), None, "gradients at the bounds", "fail"),
    "large logits": (None, lambda scores: 1000 * scores, "scale of the logits", "fail"),
    "cut off": (lambda images: images.detach(), None, "input gradient", "fail"),
    "waves": (lambda images: images + 0.05 * (200 * images).sin(), None, "enough steps", "fail"),
    "overflow": (None, lambda scores: scores * 1e38 * 10, "scores are logits", "fail"),
}
ALONE = ("probabilities", "clamp", "large logits", "cut off", "root of black", "overflow")
"""These do no harm that another check would see."""


@pytest.mark.parametrize("kind", SICK)
def test_what_is_wrong_is_found(kind: str) -> None:
    before, after, check, verdict = SICK[kind]
    found = troubles(Changed(victim("network"), before=before, after=after))
    assert found[check].verdict == verdict
    if kind in ALONE:
        assert list(found) == [check]


@pytest.mark.slow
def test_what_hides_from_gradients_is_found_by_search_and_by_transfer() -> None:
    found = troubles(Changed(victim("network"), before=lambda images: (6 * images).round() / 6), count=100)
    assert {"stronger than black box", "stronger than transfer"} <= set(found)


@pytest.mark.slow
def test_a_given_surrogate_is_attacked_instead_of_a_learnt_one() -> None:
    steps = Changed(victim("network"), before=lambda images: (6 * images).round() / 6)
    by_itself, by_stranger = (
        {each.check: each.figure for each in run_checks(steps, DATA, THREAT, count=60, surrogate=surrogate)}
        for surrogate in (victim("network"), Changed(victim("network"), after=lambda scores: -scores))
    )
    assert by_itself["stronger than transfer"] > 0.2
    assert by_stranger["stronger than transfer"] == 0


@pytest.mark.slow
def test_random_numbers_are_noticed_and_averaged_out() -> None:
    noisy = Changed(victim("network"), before=lambda images: images + 0.1 * torch.randn_like(images))
    first, again = (run_checks(noisy, DATA, THREAT, count=20) for _ in range(2))
    assert first == again
    found = {each.check: each for each in first if each.speaks_up}
    assert found["repeatable answers"].verdict == "warn"
    assert "eot" in found["repeatable answers"].says
    assert not {each.check for each in first if each.verdict == "fail"}


def test_a_coarse_search_is_confirmed_in_float32() -> None:
    findings = run_checks(victim("network with batch norm"), DATA, THREAT, count=40, precision="bf16")
    assert not [each.says for each in findings if each.speaks_up]


def test_every_trouble_comes_with_a_cure_and_every_finding_is_said_as_it_is_found() -> None:
    heard: list[str] = []
    findings = run_checks(
        Changed(victim("network"), after=lambda scores: scores.softmax(1)), DATA, THREAT, count=20, say=heard.append
    )
    assert heard == [f"{each.verdict}  {each.check}: {each.says}" for each in findings]
    assert len({each.check for each in findings}) == len(findings) == 34
    warned = next(each for each in findings if each.speaks_up)
    assert warned.says.endswith("let it return what goes into the softmax")


@pytest.mark.parametrize("threat", [ThreatModel(norm="linf", eps=0), ThreatModel(norm="l2", eps=math.inf)])
def test_a_threat_without_a_size_is_refused(threat: ThreatModel) -> None:
    with pytest.raises(ValueError, match="threat must have a finite eps above 0, got"):
        run_checks(victim("linear"), DATA, threat)


def test_there_must_be_something_to_check_with() -> None:
    with pytest.raises(ValueError, match="bars holds no examples"):
        run_checks(victim("linear"), DATA.subset(0), THREAT)
    with pytest.raises(ValueError, match="count must be at least 1, got 0"):
        run_checks(victim("linear"), DATA, THREAT, count=0)
