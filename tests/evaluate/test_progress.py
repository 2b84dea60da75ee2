"""Long work says how far it is: which member, how many images are decided, how long it may take."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from robustcnn.attacks import APGD, FAB, PGD, AutoAttack, Square
from robustcnn.core import progress as module
from robustcnn.core.progress import Progress, every, listening, tell
from robustcnn.core.runtime import seeded
from robustcnn.core.spec import ImageSpec
from robustcnn.core.threat import ThreatModel
from robustcnn.data import ResidentDataset
from robustcnn.evaluate import evaluate

THREAT = ThreatModel(norm="linf", eps=0.02)


def victim() -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 5)).eval()
    images = torch.rand(12, 1, 8, 8, generator=seeded(0))
    return model, images, model(images).argmax(1)


@pytest.mark.parametrize(
    "attack", [PGD(steps=5, stop=True), APGD(steps=10), Square(queries=20), FAB(steps=5, targets=2)], ids=repr
)
def test_a_search_tells_of_its_steps(attack: PGD) -> None:
    heard: list[Progress] = []
    with listening(heard.append):
        attack(*victim(), THREAT)
    shares = [each.share for each in heard]
    assert len(heard) > 1
    assert shares == sorted(shares)
    assert all(0 <= each.share <= 1 and 0 <= each.decided <= each.count == 12 for each in heard)


def test_an_ensemble_tells_which_member_is_at_work_and_never_goes_back() -> None:
    heard: list[Progress] = []
    with listening(heard.append):
        AutoAttack()(*victim(), THREAT)
    names = list(dict.fromkeys(each.attack.split("(")[0] for each in heard))
    assert names == ["APGD", "FAB", "Square"]
    shares = [each.share for each in heard]
    assert shares == sorted(shares)
    assert {each.count for each in heard} == {12}
    decided = [each.decided for each in heard]
    assert decided == sorted(decided)


def test_nobody_is_told_where_nobody_listens() -> None:
    tell(lambda: pytest.fail("worked out for nobody"))


def test_what_is_shown_has_the_seconds_that_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(module.time, "perf_counter", lambda: now[0])
    shown: list[str] = []
    listener = every(10, shown.append)
    for second in range(0, 40, 4):
        now[0] = second
        listener(Progress(attack="FAB()", decided=3, count=8, share=second / 80))
    assert shown == [
        "FAB(): 3 of 8 images decided, 12 s, about 68 s left",
        "FAB(): 3 of 8 images decided, 24 s, about 56 s left",
        "FAB(): 3 of 8 images decided, 36 s, about 44 s left",
    ]


def test_an_evaluation_says_lines_in_a_log_while_one_unit_is_at_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("robustcnn.evaluate.runner.LOGGED", 0.0)
    model, images, labels = victim()
    spec = ImageSpec(channels=1, height=8, width=8, classes=tuple("abcde"), mean=(0.5,), std=(0.25,))
    said: list[str] = []
    data = ResidentDataset(images=images, labels=labels, spec=spec)
    evaluate(model, data, [PGD(steps=5, stop=True)], [THREAT], say=said.append)
    assert any("of 12 images decided" in line for line in said)
