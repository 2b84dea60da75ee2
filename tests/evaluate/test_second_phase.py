"""What follows a cheap evaluation: AutoAttack on all where it is in doubt, on a random part where it is audited."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from straight import Linear, balls, examples, room
from torch import Tensor, nn

from robustcnn.attacks import FGSM, AutoAttack, Swift
from robustcnn.core.plain_data import from_plain, to_plain
from robustcnn.core.results import Finding, RobustnessReport
from robustcnn.core.runtime import seeded
from robustcnn.core.threat import ThreatModel
from robustcnn.data.resident import ResidentDataset
from robustcnn.evaluate import evaluate

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*DLR loss:UserWarning"),
    pytest.mark.filterwarnings("ignore:attacking the plain model:UserWarning"),
]
CHEAP = Swift(effort=0.25, sentinel=20)
THREATS = balls("linf", 4 / 255, 8 / 255)
PASSED = Finding(check="a", verdict="pass", figure=None, says="")
FAILED = Finding(check="enough steps", verdict="warn", figure=None, says="")


class Masked(nn.Module):
    """The linear model of quantised pixels: no gradient, and a black box sees it all."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = Linear()

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.inner((images * 255).round() / 255 + 0 * images)
        return logits


class Drawing(nn.Module):
    """Adds noise to what it answers."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.generator = Linear(), seeded(0)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.inner(images)
        return logits + 0.5 * torch.randn(logits.shape, generator=self.generator)


class Counting(nn.Module):
    """Every answer is a little larger than the one before."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.calls = Linear(), 0

    def forward(self, images: Tensor) -> Tensor:
        self.calls += 1
        logits: Tensor = self.inner(images)
        return logits + torch.tensor([0.0, 0.1 * (self.calls % 7)])


def few() -> ResidentDataset:
    return examples().subset(40)


def judged(model: nn.Module | None = None, **options: Any) -> RobustnessReport:
    settled = {"attacks": [CHEAP], "threats": THREATS, "block": 20, "data": few()}
    return evaluate(model or Linear(), **settled | options)


def but_for_seconds(report: RobustnessReport) -> Any:
    def without(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: without(item) for key, item in value.items() if key != "seconds"}
        return [without(item) for item in value] if isinstance(value, list) else value

    return without(to_plain(report))


def test_where_nothing_is_in_doubt_swift_has_the_last_word() -> None:
    report = judged(findings=[PASSED])
    for threat in report.threats:
        assert threat.escalated == ""
        assert [each.attack for each in threat.attacks] == [repr(CHEAP)]
        assert threat.robust.hits == (room(few(), "linf") > threat.eps).sum()
    assert report.findings == (PASSED,)


def test_a_sentinels_hit_hands_all_over_to_autoattack() -> None:
    report = judged(Masked(), data=few().subset(24))
    for threat in report.threats:
        assert "broke" in threat.escalated
        assert [each.attack for each in threat.attacks] == [repr(CHEAP), "WorstOf(attacks=(AutoAttack(), Square()))"]
        assert threat.audit is None
    small, large = report.threats
    # The gradient shows nothing; Square finds what is there.
    assert small.attacks[0].metrics.accuracy.hits > small.robust.hits >= large.robust.hits
    assert sum(each.first for each in large.attacks) == report.clean.accuracy.hits - large.robust.hits


def test_a_sentinel_that_gets_further_hands_over_before_anything_falls() -> None:
    threat, whole = THREATS[0], examples()
    sure = (room(whole, "linf") > 2 * threat.eps).nonzero().flatten()
    report = judged(Masked(), data=whole.subset(sure), threats=[threat])
    assert report.threats[0].robust.hits == report.clean.accuracy.hits == len(sure) > 2
    assert "got a quarter further than all ascents on" in report.threats[0].escalated
    # Where gradients show the way the same sentinel is silent.
    assert judged(data=whole.subset(sure), threats=[threat]).threats[0].escalated == ""


@pytest.mark.parametrize("model", [Drawing, Counting])
def test_a_model_that_does_not_answer_twice_alike_meets_autoattack(model: type[nn.Module]) -> None:
    (threat,) = judged(model(), data=few().subset(10), threats=THREATS[:1]).threats
    assert threat.escalated == "the model does not answer twice alike"
    assert threat.attacks[1].attack == "AutoAttack(version='rand')"


def test_a_warning_of_the_checklist_hands_over_too() -> None:
    report = judged(findings=[PASSED, FAILED], threats=THREATS[:1])
    assert report.threats[0].escalated == "the checklist says warn to enough steps"
    # Other attacks were never taken for more than they are.
    assert judged(findings=[FAILED], attacks=[FGSM()], threats=THREATS[:1]).threats[0].escalated == ""


def test_an_audit_of_one_step_says_what_autoattack_would() -> None:
    step = [FGSM(loss="margin")]
    data = few()
    plain, full = (judged(attacks=attacks, threats=THREATS[1:]) for attacks in (step, [AutoAttack()]))
    audit = judged(Lazy(), attacks=step, threats=THREATS[1:], audit=1000).threats[0].audit
    assert audit is not None
    assert audit.drawn == audit.stood > full.threats[0].robust.hits
    assert audit.low == audit.high == full.threats[0].robust.hits / len(data) == pytest.approx(audit.value)
    assert plain.threats[0].audit is None


class Lazy(nn.Module):
    """The linear model, whose gradient points the wrong way in half of the pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = Linear()
        self.turn = torch.tensor([1.0, -1.0]).repeat(8).view(1, 1, 4, 4)

    def forward(self, images: Tensor) -> Tensor:
        turned = self.turn * images
        logits: Tensor = self.inner(images.detach() + turned - turned.detach())
        return logits


def test_an_audit_that_was_interrupted_or_cut_up_gives_the_same_figures(tmp_path: Path) -> None:
    options: dict[str, Any] = {"attacks": [FGSM(loss="margin")], "threats": THREATS[1:], "model": Lazy(), "until": 30.0}
    whole = judged(**options)
    kept = judged(**options, folder=tmp_path)
    assert but_for_seconds(kept) == but_for_seconds(whole)
    pieces = sorted(tmp_path.glob("*.safetensors"))
    assert {path.name.split("-")[0] for path in pieces} == {"00", "audit"}
    pieces[-1].unlink()
    assert but_for_seconds(judged(**options, folder=tmp_path)) == but_for_seconds(whole)
    assert from_plain(RobustnessReport, to_plain(whole)) == whole


def test_a_sentinel_is_the_same_however_the_work_was_interrupted(tmp_path: Path) -> None:
    whole = judged(Masked(), folder=tmp_path, threats=THREATS[:1])
    names = sorted(tmp_path.glob("*.safetensors"))
    assert any("sentinel" in path.name for path in names)
    for path in names[::2]:
        path.unlink()
    assert but_for_seconds(judged(Masked(), folder=tmp_path, threats=THREATS[:1])) == but_for_seconds(whole)


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_where_all_fall_or_none_the_second_phase_has_nothing_to_say(level: float) -> None:
    data = few()
    threat = ThreatModel(eps=0.9 if level else 1e-5)
    (found,) = judged(threats=[threat], audit=20).threats
    assert found.escalated == ""
    assert found.audit is not None
    assert found.audit.broken == 0
    assert found.audit.value == (0 if level else 36 / len(data))


def test_an_audit_of_autoattack_by_itself_is_refused() -> None:
    with pytest.raises(ValueError, match=r"audit and until are for cheap attacks.*\(choose suite swift\)"):
        judged(attacks=[AutoAttack()], audit=10)
