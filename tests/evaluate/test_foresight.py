"""What is said before the work on how long it will take, and the picture of what questions bought."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from robustcnn.attacks import APGD, FGSM, PGD, Attack, AutoAttack, Square, Swift
from robustcnn.core.threat import ThreatModel
from robustcnn.data.resident import ResidentDataset
from robustcnn.evaluate import Plan, judge
from robustcnn.evaluate.foresight import _spoken, passes, worth_compiling
from robustcnn.evaluate.suites import asking_suite

THREAT = ThreatModel(norm="linf", eps=0.1)


@pytest.mark.parametrize(
    ("attack", "count"),
    [
        (FGSM(), 1),
        (PGD(steps=20, restarts=3), 60),
        (APGD(steps=50, loss="margin", targets=9), 450),
        (Square(queries=1000), 400),
        # 100 of APGD, 900 of its targeted kind, 900 of FAB, 5,000 questions.
        (AutoAttack(), 100 + 900 + 900 + 2000),
    ],
    ids=repr,
)
def test_an_attack_knows_itspasses(attack: Attack, count: float) -> None:
    assert passes(attack, 10, THREAT) == pytest.approx(count)


def test_swift_is_a_tenth_of_autoattack_or_less() -> None:
    assert 0 < passes(Swift(), 10, THREAT) < passes(AutoAttack(), 10, THREAT) / 10


@pytest.mark.parametrize(("seconds", "told"), [(0.01, "1 s"), (42.4, "42 s"), (150, "2 min"), (7300, "2 h")])
def test_times_are_said_with_as_many_digits_as_are_known(seconds: float, told: str) -> None:
    assert _spoken(seconds) == told


def test_an_evaluation_says_at_its_start_how_long_it_will_take_and_not_again(
    tiny: ResidentDataset, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(144, 3)).eval()
    plan = Plan(attacks=(PGD(steps=2),), threats=(THREAT,), precision="fp32", block=32, seed=0)
    told: list[list[str]] = [[], []]
    for lines in told:
        judge(model, tiny, plan, folder=tmp_path, say=lines.append)
    assert told[0][0].startswith("the attacks take at most about ")
    assert not any("at most about" in line for line in told[1])


def test_the_full_suite_walks_along_the_boundary_in_two_ways_where_both_measure_alike() -> None:
    names = {norm: repr(asking_suite("full", norm, labels_only=True)) for norm in ("linf", "l2")}  # type: ignore[arg-type]
    assert "Boundary" in names["l2"]
    assert "Boundary" not in names["linf"]
    assert all("HopSkipJump" in each for each in names.values())


@pytest.mark.parametrize(("kind", "seconds", "pays"), [("cuda", 601, True), ("cuda", 599, False), ("cpu", 1e6, False)])
def test_compiling_pays_in_long_work_on_a_gpu(kind: str, seconds: float, pays: bool) -> None:
    assert worth_compiling(seconds, torch.device(kind)) is pays


@pytest.mark.slow
def test_a_compiled_search_comes_to_the_same_figures(tiny: ResidentDataset) -> None:
    torch.manual_seed(0)
    model, lines = nn.Sequential(nn.Flatten(), nn.Linear(144, 3)).eval(), list[str]()
    plan = Plan(attacks=(PGD(steps=2),), threats=(THREAT,), precision="fp32", block=8, seed=0)
    data = tiny.subset(8)
    plain, compiled = (
        judge(model, data, plan, compile=how, batch_size=8, say=lines.append).report for how in ("no", "yes")
    )
    assert [each.robust for each in plain.threats] == [each.robust for each in compiled.threats]
    assert not any("compile" in line for line in lines)
