"""Other people's networks: what we attack faster is attacked as a textbook would attack the network itself."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from beginners import NETWORKS
from textbook import compare
from zoo import FEW, names, network, others_warnings

from robustcnn.attacks import PGD
from robustcnn.core.spec import ImageSpec
from robustcnn.core.threat import ThreatModel
from robustcnn.data import ResidentDataset
from robustcnn.evaluate import evaluate, predict, run_checks

EPS = 0.01


def marks(name: str) -> list[pytest.MarkDecorator]:
    return [] if name in FEW else [pytest.mark.soak]


@pytest.mark.parametrize("name", [pytest.param(name, marks=marks(name)) for name in sorted({*names(), *FEW})])
def test_attacks_on_a_network_of_the_zoo_are_the_textbooks(name: str) -> None:
    model, images = network(name)
    outcome = compare(model, images)
    assert outcome.is_fast or outcome.said


SMALL = ("torchvision:resnet18", "torchvision:squeezenet1_1", "timm:nf_regnet_b0")
"""Judged in a minute; the others take several."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in SMALL else pytest.mark.soak) for name in FEW]
)
def test_a_network_of_the_zoo_is_judged_and_checked(name: str) -> None:
    model, images = network(name, count=8)
    size = images.shape[2]
    spec = ImageSpec(channels=3, height=size, width=size, classes=tuple("0123456789"), mean=(0.5,) * 3, std=(0.25,) * 3)
    unlabelled = ResidentDataset(images=images, labels=torch.zeros(len(images), dtype=torch.int64), spec=spec)
    data = ResidentDataset(images=images, labels=predict(model, unlabelled).argmax(1), spec=spec)
    threat = ThreatModel(norm="linf", eps=EPS)
    with others_warnings():
        report = evaluate(model, data, [PGD(steps=3)], [threat])
        findings = run_checks(model, data, threat, count=4)
    assert report.clean.accuracy.value == 1
    assert len(findings) > 10


def test_the_zoo_is_large_enough() -> None:
    listed = names()
    assert len([name for name in listed if name.startswith("torchvision:")]) >= 60
    assert len([name for name in listed if name.startswith("timm:")]) >= 60


def test_the_table_in_the_docs_holds_every_network_and_no_failure() -> None:
    page = (Path(__file__).parents[2] / "docs" / "zoo.md").read_text()
    rows = {line.split(" | ")[0].removeprefix("| ") for line in page.splitlines() if line.startswith("| ")}
    assert not {*names(), *NETWORKS} - rows
    assert "fails" not in page
