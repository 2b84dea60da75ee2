"""The judge against known answers: closed forms of a linear model, and attacks that lie."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from straight import EPS, STEEPEST, Doing, Linear, adding, balls, examples, room
from torch import Tensor, nn

from robustcnn.attacks import BIM, PGD, UniformNoise
from robustcnn.attacks.base import Attack
from robustcnn.core.norms import NormName
from robustcnn.core.plain_data import from_plain, to_plain
from robustcnn.core.results import RobustnessReport
from robustcnn.core.threat import ThreatModel
from robustcnn.data.resident import ResidentDataset
from robustcnn.evaluate import BrokenBy, Judged, Plan, evaluate, judge
from robustcnn.evaluate.judging import as_bytes, attempt


@pytest.fixture
def data() -> ResidentDataset:
    return examples()


def judged(
    data: ResidentDataset, *attacks: Attack, threats: tuple[ThreatModel, ...], model: nn.Module | None = None
) -> Judged:
    plan = Plan(attacks=attacks, threats=threats, precision="fp32", block=32, seed=0)
    return judge(Linear() if model is None else model, data, plan)


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_the_worst_case_of_a_linear_model_is_exact_at_every_eps(norm: NormName, data: ResidentDataset) -> None:
    report = evaluate(Linear(), data, [STEEPEST, UniformNoise()], balls(norm), block=32)
    distance = room(data, norm)
    assert [each.eps for each in report.threats] == list(EPS[norm])
    for each in report.threats:
        assert each.robust.hits == (distance > each.eps).sum()
        assert each.robust == each.worst.accuracy == each.attacks[0].metrics.accuracy
    assert 0 < report.threats[-1].robust.hits < report.threats[0].robust.hits < report.clean.accuracy.hits
    (smallest,) = report.smallest
    for found, far in zip(smallest.eps, distance.tolist(), strict=True):
        assert found == (0 if far <= 0 else min((eps for eps in EPS[norm] if eps >= far), default=None))


def test_the_smallest_eps_has_a_median_once_more_than_half_are_broken(data: ResidentDataset) -> None:
    nearest = room(data, "linf").sort().values
    third, half, more = (float(nearest[count - 1 : count + 1].mean()) for count in (27, 40, 45))
    for eps, median in ((half, None), (more, more)):
        report = judged(data, STEEPEST, threats=balls("linf", third, eps)).report
        assert report.smallest[0].median == median


def test_clean_mistakes_are_not_robust_and_are_not_attacked(data: ResidentDataset) -> None:
    seen = []

    def watch(_model: nn.Module, images: Tensor, _labels: Tensor, _threat: ThreatModel) -> Tensor:
        seen.append(len(images))
        return images

    found = judged(data, Doing("watching", watch), threats=balls("linf"))
    # One glimpse beforehand; of every block those that are right.
    assert seen == [1, *[28, 29, 15] * 3]
    for threat, evidence in zip(found.report.threats, found.evidence, strict=True):
        assert threat.robust.hits == 72
        assert threat.attacks[0].kept_as_bytes.count == 0
        assert threat.attacks[0].distances == {}
        assert evidence.broken_by.tolist() == [BrokenBy.CLEAN, *[BrokenBy.STANDING] * 9] * 8
        assert torch.equal(evidence.adversarial, evidence.images)
    assert found.report.smallest[0].eps == (0.0, *[None] * 9) * 8
    assert found.report.smallest[0].median is None


def test_what_is_broken_stays_broken_and_is_not_attacked_again(data: ResidentDataset) -> None:
    def wane(model: nn.Module, images: Tensor, labels: Tensor, threat: ThreatModel) -> Tensor:
        return STEEPEST(model, images, labels, threat) if threat.eps == EPS["linf"][0] else images

    report = judged(data, Doing("waning", wane), threats=balls("linf")[::-1]).report
    standing = int((room(data, "linf") > EPS["linf"][0]).sum())
    assert standing < 72
    assert [each.robust.hits for each in report.threats] == [standing] * 3
    (distance,) = {each.attacks[0].distances["linf"] for each in report.threats}
    assert distance == pytest.approx(EPS["linf"][0], rel=1e-4)


def test_the_worst_case_is_by_example_and_names_the_first_to_break_it(data: ResidentDataset) -> None:
    def half(label: int) -> Doing:
        def answer(model: nn.Module, images: Tensor, labels: Tensor, threat: ThreatModel) -> Tensor:
            attacked = STEEPEST(model, images, labels, threat)
            return torch.where((labels == label)[:, None, None, None], attacked, images)

        return Doing(f"half {label}", answer)

    found = judged(data, half(0), half(1), STEEPEST, threats=balls("linf"))
    alone = judged(data, STEEPEST, threats=balls("linf"))
    distance = room(data, "linf")
    for threat, same, evidence in zip(found.report.threats, alone.report.threats, found.evidence, strict=True):
        broken = (distance <= threat.eps) & (distance > 0)
        assert threat.robust == same.robust
        assert [each.first for each in threat.attacks] == [*(int(broken[data.labels == k].sum()) for k in (0, 1)), 0]
        assert torch.equal(evidence.broken_by[broken], data.labels[broken])
        assert evidence.attacks == ("half 0", "half 1", repr(STEEPEST))
        assert ((evidence.adversarial - evidence.images).abs().amax((1, 2, 3))[broken] > 0).all()
        torch.testing.assert_close(Linear()(evidence.adversarial).detach(), evidence.logits)
        torch.testing.assert_close(Linear()(evidence.images).detach(), evidence.clean_logits)


@pytest.mark.parametrize("change", [0.5, -0.5, torch.inf, torch.nan])
def test_an_attack_that_leaves_the_ball_is_put_back(change: float, data: ResidentDataset) -> None:
    eps = 8 / 255
    found = judged(data, adding(change), threats=balls("linf", eps))
    pixels = data.images / 255
    assert (found.evidence[0].adversarial - pixels).abs().max() <= eps + 1e-7
    # What is no number is no change.
    allowed = {0.5: eps, -0.5: -eps}.get(change, 0.0)
    right, was_right = ((Linear()(images).argmax(1) == data.labels) for images in (pixels + allowed, pixels))
    assert found.report.threats[0].robust.hits == (right & was_right).sum()


def test_a_success_between_two_grey_levels_is_not_kept_as_bytes(data: ResidentDataset) -> None:
    class Fragile(nn.Module):
        """Says yes to images whose first pixel is not a grey level."""

        def forward(self, images: Tensor) -> Tensor:
            levels = 255 * images[:, 0, 0, 0]
            off = (levels - levels.round()).abs() - 0.1
            return torch.stack([-off, off], 1)

    no = replace(data, labels=torch.zeros_like(data.labels))
    report = judged(no, adding(0.4 / 255), threats=balls("linf", 1 / 255), model=Fragile()).report
    assert report.threats[0].robust.hits == 0
    score = report.threats[0].attacks[0]
    assert (score.kept_as_bytes.hits, score.kept_as_bytes.count) == (0, 80)
    assert score.distances == pytest.approx({"linf": 0.4 / 255, "l2": 1.6 / 255, "l1": 6.4 / 255}, rel=1e-4)
    solid = judged(data, STEEPEST, threats=balls("linf")).report.threats[-1].attacks[0]
    assert solid.kept_as_bytes.value == 1
    assert solid.kept_as_bytes.count > 20


@pytest.mark.parametrize(("eps", "level"), [(2 / 255, 102), (1.6 / 255, 101), (1.4 / 255, 101), (0.6 / 255, 100)])
def test_bytes_outside_the_ball_are_rounded_towards_the_original(eps: float, level: int) -> None:
    originals = torch.full((1, 1, 2, 2), 100 / 255)
    saved, inside = as_bytes(originals + eps, originals, ThreatModel(eps=eps))
    torch.testing.assert_close(255 * saved, torch.full_like(saved, level))
    assert inside.all()


def test_bytes_that_cannot_be_in_the_ball_do_not_count() -> None:
    originals = torch.full((1, 1, 2, 2), 100.5 / 255)
    _, inside = as_bytes(originals + 0.1 / 255, originals, ThreatModel(eps=0.2 / 255))
    assert not inside.any()


def test_a_success_whose_bytes_leave_the_ball_is_none_as_bytes(data: ResidentDataset) -> None:
    class Wrong(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return torch.tensor([0.0, 1.0]).expand(len(images), 2) + 0 * images.flatten(1)[:, :2]

    between = replace(data, images=torch.full(data.images.shape, 100.5 / 255), labels=torch.zeros_like(data.labels))
    for eps, kept in ((0.2 / 255, False), (2 / 255, True)):
        tries = attempt(adding(0.1 / 255), Wrong(), Wrong(), between, ThreatModel(eps=eps), seed=0)
        assert tries.kept.tolist() == [kept] * len(data)


def test_an_answer_that_is_no_number_is_a_success(data: ResidentDataset) -> None:
    class Breaking(Linear):
        def forward(self, images: Tensor) -> Tensor:
            logits = super().forward(images)
            return torch.where(images.amin((1, 2, 3))[:, None] < 0.1, torch.nan, logits)

    report = judged(data, adding(-1), threats=balls("linf", 0.4), model=Breaking()).report
    assert report.clean.accuracy.hits == 72
    assert report.threats[0].robust.hits == report.threats[0].worst.accuracy.hits == 0


def test_the_model_and_the_random_numbers_are_left_as_they_were(data: ResidentDataset) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(16, 2)).train()
    model[2].eval()
    before = torch.get_rng_state()
    evaluate(model, data, [PGD(steps=2)], balls("linf"))
    assert [module.training for module in model.modules()] == [True, True, True, False]
    assert all(weight.requires_grad and weight.grad is None for weight in model.parameters())
    assert torch.equal(torch.get_rng_state(), before)


def test_a_model_that_draws_random_numbers_is_judged_alike_twice(data: ResidentDataset) -> None:
    class Noisy(Linear):
        def forward(self, images: Tensor) -> Tensor:
            return super().forward(images + 0.02 * torch.randn_like(images))

    with pytest.warns(UserWarning, match="attacking the plain model"):
        first, second = (judged(data, BIM(steps=2), threats=balls("linf"), model=Noisy()) for _ in range(2))
    for one, other in zip(first.evidence, second.evidence, strict=True):
        assert torch.equal(one.logits, other.logits)
    stand = [each.robust.hits for each in first.report.threats]
    assert stand == sorted(stand, reverse=True)
    assert stand[0] > stand[-1]


def test_blocks_and_the_order_of_threats_do_not_matter_to_an_attack_without_chance(data: ResidentDataset) -> None:
    threats = (*balls("l2"), *balls("linf"))
    mixed = (threats[1], threats[0], *threats[2:])
    plan = Plan(attacks=(STEEPEST,), threats=threats, precision="fp32", block=512, seed=0)
    whole, parts = (judge(Linear(), data, each) for each in (plan, replace(plan, threats=mixed, block=9)))
    for one, other, threat in zip(whole.evidence, parts.evidence, threats, strict=True):
        assert one.threat == other.threat == threat
        assert torch.equal(one.broken_by, other.broken_by)
        torch.testing.assert_close(one.adversarial, other.adversarial)


def test_the_judge_looks_in_float32_whatever_the_search_does(data: ResidentDataset) -> None:
    plan = Plan(attacks=(PGD(steps=3),), threats=balls("linf"), precision="bf16", block=80, seed=0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
    found = judge(model, data, plan)
    for evidence in found.evidence:
        torch.testing.assert_close(model(evidence.adversarial).detach(), evidence.logits, rtol=1e-6, atol=1e-6)
    assert found.report.made_by["precision"] == "bf16"


def test_the_report_says_what_it_is_about_and_survives_json(data: ResidentDataset) -> None:
    report = evaluate(Linear(), data, [STEEPEST], balls("l2"), name="line", seed=5)
    assert (report.model, report.data, report.fingerprint, report.count) == ("line", "grey", data.fingerprint, 80)
    assert report.made_by.keys() == {"robustcnn", "torch", "device", "precision", "float32", "seed"}
    assert report.made_by["seed"] == "5"
    assert from_plain(RobustnessReport, json.loads(json.dumps(to_plain(report)))) == report


def test_a_line_is_said_for_every_attack_and_ball(data: ResidentDataset, capsys: pytest.CaptureFixture[str]) -> None:
    lines: list[str] = []
    evaluate(Linear(), data, [STEEPEST, PGD(steps=2)], balls("linf", 8 / 255), say=lines.append, progress=True)
    assert lines[2].startswith("PGD(steps=2)  linf 8/255   ")
    assert lines[0].startswith("the attacks take at most about ")
    assert [" % [" in line and line.endswith(" s") and "] stand   " in line for line in lines[1:]] == [True, True]
    # A bar is for terminals.
    assert capsys.readouterr() == ("", "")
