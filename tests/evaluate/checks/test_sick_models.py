"""Each check speaks up for its own sick model and is silent on the healthy one; no model is too odd to be checked."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
import torch
from checked_networks import DATA, victim
from sick_models import ALONE, HOSTILE, AfterCalls, Changed, Striped
from torch import Tensor, nn

from robustcnn.attacks import PGD
from robustcnn.core.broken_by import BrokenBy
from robustcnn.core.norms import NormName
from robustcnn.core.results import Finding
from robustcnn.core.threat import ThreatModel
from robustcnn.data import ResidentDataset
from robustcnn.data.resident import as_pixels
from robustcnn.evaluate import Plan, judge
from robustcnn.evaluate.checks.bench import Bench
from robustcnn.evaluate.checks.radii import unbounded
from robustcnn.evaluate.checks.run import run_checks
from robustcnn.evaluate.checks.stand_ins import Settled
from robustcnn.evaluate.checks.strength import RIVALS, Rival, hidden, off_grid
from robustcnn.evaluate.checks.survival import survival
from robustcnn.evaluate.standings import Evidence

THREAT = ThreatModel(norm="linf", eps=0.1)
PIXELS = replace(DATA, images=as_pixels(DATA.images))


def spoken(model: nn.Module, **options: object) -> dict[str, str]:
    found = run_checks(model, DATA, THREAT, count=40, **options)  # type: ignore[arg-type]
    return {each.check: each.verdict for each in found if each.speaks_up}


@pytest.mark.slow
@pytest.mark.parametrize("check", ALONE)
def test_a_sick_model_makes_its_check_speak_and_no_other(check: str) -> None:
    make, verdict = ALONE[check]
    assert spoken(make(victim("network"))) == {check: verdict}


@pytest.mark.slow
def test_what_one_rival_alone_finds_is_laid_at_its_door_and_in_the_sum() -> None:
    threat = ThreatModel(norm="linf", eps=0.03)
    sick, healthy = (
        {each.check: each.verdict for each in run_checks(model, DATA, threat, count=40) if each.speaks_up}
        for model in (Striped(victim("robust network"), DATA, threat.eps), victim("robust network"))
    )
    assert sick == {"stronger than black box": "fail", "points too good": "fail"}
    assert healthy == {}


def test_the_bare_checks_know_their_sick_models() -> None:
    for check in ("answers", "label order", "input gradient"):
        make, verdict = ALONE[check]
        found = run_checks(make(victim("linear")), DATA.subset(12), ThreatModel(norm="linf", eps=0.02))
        assert [each.verdict for each in found if each.check == check] == [verdict]


def evidence(model: nn.Module, data: ResidentDataset, *, steps: int) -> Evidence:
    """What PGD finds; none at all with 0 steps."""
    if steps:
        return judge(
            model, data, Plan(attacks=(PGD(steps=steps, restarts=8, loss="margin"),), threats=(THREAT,), **PLAIN)
        ).evidence[0]
    with torch.no_grad():
        logits = model(data.images)
    right = logits.argmax(1) == data.labels
    return Evidence(
        threat=THREAT,
        images=data.images,
        adversarial=data.images,
        labels=data.labels,
        clean_logits=logits,
        logits=logits,
        broken_by=torch.where(right, BrokenBy.STANDING, BrokenBy.CLEAN),
        attacks=("nothing",),
    )


PLAIN = {"precision": "fp32", "block": 512, "seed": 0}


@cache
def bench(*, steps: int) -> Bench:
    """A weak network, and a report whose attacks did so much."""
    model, data = victim("network with batch norm"), PIXELS.subset(40)
    return Bench(
        model=model,
        view=model,
        surrogate=victim("linear"),
        data=data,
        threat=THREAT,
        evidence=evidence(model, data, steps=steps),
    )


@pytest.mark.parametrize(
    "rival",
    [each for each in RIVALS if each.through is None and "noise" not in each.check],
    ids=lambda each: each.check,
)
def test_every_rival_speaks_where_the_evaluation_did_not_attack(rival: Rival) -> None:
    found = rival(replace(bench(steps=0)))
    assert (found.check, found.verdict) == (rival.check, "fail")
    assert found.figure is not None
    assert found.figure > 0.1


def test_noise_speaks_too_where_the_ball_is_large() -> None:
    noise = next(each for each in RIVALS if each.check == "stronger than noise")
    assert noise(replace(bench(steps=0), threat=ThreatModel(norm="linf", eps=0.6))).verdict == "fail"


@pytest.mark.parametrize("rival", RIVALS, ids=lambda each: each.check)
def test_no_rival_speaks_where_the_evaluation_broke_all_there_is(rival: Rival) -> None:
    assert not rival(bench(steps=40)).speaks_up


@pytest.mark.parametrize("check", ["stronger than the inner network", "stronger than a smooth copy"])
def test_what_is_wrapped_round_a_network_is_seen_through(check: str) -> None:
    rival = next(each for each in RIVALS if each.check == check)
    stairs = Changed(victim("network with batch norm"), before=lambda images: (12 * images).round() / 12).eval()
    found = rival(
        replace(bench(steps=0), model=stairs, view=stairs, evidence=evidence(stairs, PIXELS.subset(40), steps=0))
    )
    assert found.verdict == "fail"
    assert ("model.net" if "inner" in check else "round") in found.says


def test_what_a_random_model_loses_in_the_mean_of_its_draws_is_found_by_holding_them_fixed() -> None:
    noisy = Changed(victim("network with batch norm"), before=lambda images: images + 0.1 * torch.randn_like(images))
    there = replace(bench(steps=0), model=noisy, view=noisy, draws=3, ledger=type(bench(steps=0).ledger)())
    enough = next(each for each in RIVALS if each.check == "enough draws")
    assert enough(there).verdict == "fail"
    assert enough(bench(steps=0)).verdict == "not tested", "draws no numbers"


def test_what_many_draws_settle_at_once_is_not_looked_at_again() -> None:
    hardly = Changed(victim("network with batch norm"), after=lambda z: z + 1e-6 * torch.randn_like(z))
    there = replace(bench(steps=0), model=hardly, view=hardly, draws=2, ledger=type(bench(steps=0).ledger)())
    one_step = next(each for each in RIVALS if each.check == "stronger than one step")
    assert one_step(there).verdict == "fail"


def test_held_draws_are_the_same_at_every_look_and_leave_the_callers_numbers_alone() -> None:
    noisy = Settled(Changed(nn.Flatten(), after=lambda z: z + torch.randn_like(z)), draws=50)
    images = torch.zeros(2, 1, 1, 3)
    torch.manual_seed(1)
    looks, drawn = [noisy(images) for _ in range(2)], torch.rand(3)
    assert torch.equal(*looks)
    assert 0 < looks[0].abs().amax() < 4 / 50**0.5, "the mean of fifty"
    torch.manual_seed(1)
    assert torch.equal(drawn, torch.rand(3))


def test_what_all_rivals_find_together_is_the_estimate_of_what_is_hidden() -> None:
    weak = replace(bench(steps=0), ledger=type(bench(steps=0).ledger)())
    next(each for each in RIVALS if each.check == "stronger than black box")(weak)
    found = hidden(weak)
    assert found.verdict == "fail"
    assert found.figure == pytest.approx(100 * len(weak.ledger.found) / 40)
    assert "points [" in found.says
    (start, *_), end = found.profile[0], next(each for each in found.profile if each[0] >= 1)
    assert start == 0
    assert found.profile[0][1] == found.profile[0][2] < 0, "right, wherever the way leads"
    assert end[1] < 0 < end[2], "wrong where the rival ended, and there alone"
    assert hidden(bench(steps=40)).verdict == "not tested"


class OffGrid(nn.Module):
    """Answers for a picture between the grey levels what it answers without its finest half."""

    def __init__(self, net: nn.Module, home: Tensor) -> None:
        super().__init__()
        self.net, self.home = net, home

    def forward(self, images: Tensor) -> Tensor:
        off = ((255 * images - (255 * images).round()).abs().flatten(1).amax(1) > 1e-3).view(-1, 1, 1, 1)
        nearest = (images[:, None] - self.home).abs().flatten(2).amax(2).argmin(1)
        logits: Tensor = self.net(torch.where(off, self.home[nearest], images))
        return logits


def test_a_detector_of_what_is_no_picture_of_bytes_is_found() -> None:
    data = PIXELS.subset(40)
    sick = OffGrid(victim("network with batch norm"), data.images)
    there = Bench(model=sick, view=sick, surrogate=sick, data=data, threat=THREAT)
    assert len(there.robust) > 30
    assert off_grid(there).verdict == "fail"
    assert off_grid(bench(steps=40)).verdict == "not tested"


def test_successes_of_a_coarse_search_count_as_it_claimed_them() -> None:
    class Lying(nn.Module):
        """Calls every picture fooled; its `exact` would say the truth."""

        def __init__(self) -> None:
            super().__init__()
            self.net = victim("network with batch norm")

        def forward(self, images: Tensor) -> Tensor:
            return -self.exact(images)

        def exact(self, images: Tensor) -> Tensor:
            logits: Tensor = self.net(images)
            return logits

    small = replace(bench(steps=40), threat=ThreatModel(norm="linf", eps=0.002), evidence=None)
    found = survival(replace(small, view=Lying()))
    assert found.verdict == "warn"
    assert "successes of the search are confirmed" in found.says
    assert survival(small).verdict == "not tested", "nothing fell, and nothing was claimed to have fallen"
    assert survival(replace(bench(steps=40), evidence=None)).verdict == "pass"


SCENES = {
    "all fall": (lambda net: net, 0.4),
    "none fall": (lambda net: Changed(net, after=lambda z: z), 1e-4),
    "always wrong": (lambda net: Changed(net, after=lambda z: z.roll(1, 1)), 0.1),
    "random answers": (lambda net: Changed(net, after=lambda z: torch.randn_like(z) + 0 * z), 0.1),
    "softmax out": (lambda net: Changed(net, after=lambda z: z.softmax(1)), 0.1),
    "two classes": (lambda net: Changed(net, after=lambda z: z[:, :2]), 0.1),
}
TWO = DATA.subset((DATA.labels < 2).nonzero().flatten())
TWO = replace(TWO, spec=replace(TWO.spec, classes=TWO.spec.classes[:2]))
LENGTHS = {"linf": 1.0, "l2": 12.0, "l1": 144.0}


@pytest.mark.slow
@pytest.mark.parametrize("norm", LENGTHS)
@pytest.mark.parametrize("scene", SCENES)
def test_the_checklist_ends_whatever_falls_in_every_norm(scene: str, norm: NormName) -> None:
    make, eps = SCENES[scene]
    data = TWO if scene == "two classes" else DATA
    found = run_checks(make(victim("linear")), data.subset(9), ThreatModel(norm=norm, eps=eps * LENGTHS[norm]))
    assert len(found) > 30
    assert not [each.says for each in found if "the model stopped it" in each.says]


@pytest.mark.parametrize("norm", LENGTHS)
def test_one_example_is_enough(norm: NormName) -> None:
    found = run_checks(victim("linear"), DATA.subset(1), ThreatModel(norm=norm, eps=0.01 * LENGTHS[norm]))
    assert not [each.says for each in found if each.speaks_up]


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_model_is_a_finding_and_never_robust(kind: str) -> None:
    found = run_checks(HOSTILE[kind](victim("linear")), DATA.subset(9), THREAT)
    bad = [each for each in found if each.verdict == "fail"]
    assert bad
    assert all("\n" not in each.says for each in bad)


@pytest.mark.parametrize("kind", ["a tuple", "changes its pictures"])
def test_what_can_be_understood_is_no_trouble(kind: str) -> None:
    ways = {
        "a tuple": Changed(victim("linear"), after=lambda z: (z, z)),
        "changes its pictures": Changed(victim("linear"), before=lambda images: images.mul_(1.0)),
    }
    found = run_checks(ways[kind], DATA.subset(9), ThreatModel(norm="linf", eps=0.02))
    assert not [each.says for each in found if each.speaks_up]


def test_a_model_that_sleeps_is_told_of_instead_of_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("robustcnn.evaluate.checks.answers.PATIENCE", 0.0)
    (found,) = run_checks(victim("linear"), DATA, THREAT)
    assert (found.check, found.verdict) == ("answers", "fail")
    assert "for one image" in found.says


def test_every_check_says_what_it_cost() -> None:
    found: tuple[Finding, ...] = run_checks(victim("linear"), DATA.subset(9), THREAT)
    assert all(each.seconds > 0 for each in found)
    assert sum(each.passes for each in found) > 1000


def test_what_the_evaluation_broke_counts_as_broken_and_other_evidence_is_refused() -> None:
    model = victim("network with batch norm")
    known = evidence(model, PIXELS, steps=40)
    said = {each.check: each.says for each in run_checks(model, PIXELS, THREAT, count=40, evidence=known)}
    assert said["points too good"].startswith("the evaluation left")
    with pytest.raises(ValueError, match=r"evidence must be about linf 0.2 and all 200 examples, got linf 0.1 and 200"):
        run_checks(model, PIXELS, ThreatModel(norm="linf", eps=0.2), evidence=known)


def test_a_model_that_only_its_noise_keeps_is_not_monotone_in_an_unbounded_ball() -> None:
    sign = Changed(victim("network"), before=lambda images: (images - 0.3).sign())
    assert unbounded(replace(bench(steps=0), model=sign, view=sign, evidence=None)).verdict == "fail"


def test_memory_is_found_however_late_it_shows() -> None:
    late = AfterCalls(victim("linear"), 60, lambda z: 1.1 * z)
    found = run_checks(late, DATA.subset(9), THREAT)
    assert [each.verdict for each in found if each.check == "no memory"] == ["fail"]
