"""Suites run as they are, and attacks are found by what one types."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from torch import nn

from robustcnn.attacks import APGD, BIM, FGSM, PGD, AutoAttack, CarliniWagner, Foolbox, Square, Swift, UniformNoise
from robustcnn.attacks.base import Attack
from robustcnn.core.norms import NormName
from robustcnn.core.runtime import global_seed
from robustcnn.core.threat import ThreatModel
from robustcnn.data.resident import ResidentDataset
from robustcnn.evaluate import attack_named, evaluate, suite
from robustcnn.evaluate.suites import ATTACKS, SuiteName

EPS: dict[NormName, float] = {"linf": 0.25, "l2": 2.0, "l1": 15.0}


@pytest.fixture
def victim(tiny: ResidentDataset) -> nn.Module:
    """Has learnt the bars of the tiny data set."""
    with global_seed(0):
        model = nn.Sequential(nn.Conv2d(1, 4, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(100, 3))
        adam = torch.optim.Adam(model.parameters(), lr=0.02)
        for _ in range(40):
            adam.zero_grad()
            nn.functional.cross_entropy(model(tiny.images / 255), tiny.labels).backward()
            adam.step()
    return model.eval()


@pytest.mark.parametrize("norm", get_args(NormName))
def test_the_attacks_of_the_full_suite_run_as_they_are_and_those_of_foolbox_break_most(
    norm: NormName, tiny: ResidentDataset, victim: nn.Module
) -> None:
    few = tiny.subset(6)
    attacks = [attack for attack in suite("full", norm) if not isinstance(attack, AutoAttack)]
    (threat,) = evaluate(victim, few, attacks, [ThreatModel(norm=norm, eps=EPS[norm])]).threats
    standing = {each.attack: each.metrics.accuracy.hits for each in threat.attacks}
    breadth = [count for name, count in standing.items() if name.startswith("Foolbox")]
    assert len(breadth) == 3
    assert max(breadth) <= 1
    assert [count for name, count in standing.items() if "Noise" in name] == [6, 6]


def test_suites_hold_what_they_say() -> None:
    assert suite("quick", "l2") == (FGSM(), PGD(steps=20))
    assert suite("swift", "l1") == (Swift(),)
    assert suite("standard", "linf") == (AutoAttack(),)
    for norm in get_args(NormName):
        whole = suite("full", norm)
        assert whole[:3] == (*suite("quick", norm), *suite("standard", norm))
        assert len(set(map(repr, whole))) == len(whole)
    with pytest.raises(ValueError, match=r"unknown suite 'standart' \(did you mean 'standard'\?\); known: quick"):
        suite("standart", "linf")
    with pytest.raises(ValueError, match=r"unknown norm 'l3'.*; known: linf, l2, l1"):
        suite("quick", "l3")  # type: ignore[arg-type]
    assert get_args(SuiteName) == ("quick", "swift", "standard", "full")


@pytest.mark.parametrize(
    ("text", "attack"),
    [
        ("fgsm", FGSM()),
        ("pgd()", PGD()),
        ("swift(effort=2)", Swift(effort=2)),
        (" PGD ( steps = 100 , restarts=5 ) ", PGD(steps=100, restarts=5)),
        ("pgd(step_size=2/255, schedule=cosine, best=True)", PGD(step_size=2 / 255, schedule="cosine", best=True)),
        ("pgd(step_size=1, target=3)", PGD(step_size=1.0, target=3)),
        ("bim(target='least')", BIM(target="least")),
        ("cw(searches=2)", CarliniWagner(searches=2)),
        ("noise(draws=3)", UniformNoise(draws=3)),
        ("autoattack(version=plus)", AutoAttack(version="plus")),
        ("square(queries=10)", Square(queries=10)),
        ("apgd(loss=dlr)", APGD(loss="dlr")),
        ("foolbox:LinfPGD", Foolbox(name="LinfPGD")),
        (
            "foolbox:LinfPGD(steps=5, abs_stepsize=1/255)",
            Foolbox(name="LinfPGD", options={"steps": 5, "abs_stepsize": 1 / 255}),
        ),
    ],
)
def test_what_is_typed_is_found(text: str, attack: Attack) -> None:
    assert attack_named(text) == attack


@pytest.mark.parametrize("name", ATTACKS)
def test_every_name_is_an_attack_that_is_found_by_its_repr_too(name: str) -> None:
    attack = attack_named(name)
    assert attack_named(repr(attack)) == attack


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pdg", r"unknown attack 'pdg' \(did you mean 'pgd'\?\); known: fgsm, .*, foolbox:NAME"),
        ("pgd(stepz=3)", r"unknown key 'pgd.stepz' \(did you mean 'steps'\?\)"),
        ("pgd(steps=ten)", "pgd.steps must be int, got 'ten'"),
        ("pgd(steps=0)", "steps must be at least 1, got 0"),
        ("pgd(100)", r"cannot read attack 'pgd\(100\)': options are written name=value \(write for example pgd\("),
        ("pgd(**x)", "options are written name=value"),
        ("pgd(steps=3", r"cannot read attack 'pgd\(steps=3'"),
        ("pgd(steps=3, steps=4)", r"cannot read attack .*: an option is given twice \(write"),
        ("pgd(steps=)", r"cannot read attack 'pgd\(steps=\)': .* \(write"),
        ("pgd(steps=1)+f(x=2)", "cannot read attack"),
        ("pgd(steps=open('x'))", r"open\('x'\) is no number, word or fraction"),
        ("pgd(step_size=2**9)", r"2 \*\* 9 is no number"),
        ("pgd(step_size=1/0)", "1 / 0 is no number"),
        ("foolbox:LinfPDG", "foolbox has no attack 'LinfPDG'; did you mean .*LinfPGD"),
        ("foolbox:LinfPGD(stepz=1)", "options of foolbox's LinfPGD are"),
        ("", "cannot read attack ''"),
    ],
)
def test_what_cannot_be_read_is_explained(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        attack_named(text)
