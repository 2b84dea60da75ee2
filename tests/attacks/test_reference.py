"""Our attacks beside the authors' own AutoAttack, step by step on a fixed network (recorded by reference/record.py)."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from robustcnn.attacks import APGD, FAB
from robustcnn.core.losses import LossName, attack_loss
from robustcnn.core.threat import NormName, ThreatModel

EPS = {"linf": 0.01, "l2": 0.05, "l1": 0.2}
NORMS = ("linf", "l2", "l1")


@cache
def numbers() -> dict[str, Tensor]:
    with np.load(Path(__file__).parent / "reference" / "trajectories.npz", allow_pickle=False) as file:
        return {name: torch.from_numpy(file[name]) for name in file.files}


def known_of(prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in numbers().items() if key.startswith(prefix)}


class Recorded(nn.Module):
    """The recorded network; notes the points at which a gradient is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.Tanh(), nn.Flatten(), nn.Linear(4 * 36, 6)).double()
        self.net.load_state_dict(known_of("network/"))
        self.points: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        if images.requires_grad:
            self.points.append(images.detach().clone())
        return self.net(images)


def compare(points: list[Tensor], looks: list[int], known: Tensor) -> None:
    """Point by point; in l1 an image with two moved pixels steps in both for ever there, where ours goes on in one."""
    images, compared = numbers()["images"], 0
    wide = torch.ones(len(images), dtype=torch.bool)
    for look, theirs in zip(looks, known, strict=True):
        wide &= (theirs != images).flatten(1).sum(1) > 2
        torch.testing.assert_close(points[look][wide], theirs[wide], atol=1e-6, rtol=0)
        compared += int(wide.sum())
    assert compared >= 3


@pytest.mark.parametrize("loss", ["ce", "dlr", "targeted"])
@pytest.mark.parametrize("norm", NORMS)
def test_autopgd_takes_the_references_steps(norm: NormName, loss: str, monkeypatch: pytest.MonkeyPatch) -> None:
    known = known_of(f"apgd/{norm}/{loss}/")
    model, images, labels = Recorded(), numbers()["images"], numbers()["labels"]
    target = model(images).sort(dim=1).indices[:, -3] if loss == "targeted" else None
    name: LossName = "ce" if loss == "ce" else "dlr"
    monkeypatch.setattr(ThreatModel, "sample", lambda *_, **__: known["start"])
    monkeypatch.setattr(APGD, "_aims", lambda *_: iter([target]))
    attack = APGD(loss=name, relax=False, stop=False)
    found = attack(model, images, labels, ThreatModel(norm=norm, eps=EPS[norm]))
    compare(model.points, numbers()["steps"].tolist(), known["points"])
    # Theirs is the greatest loss of all steps, ours of the fooled ones where there are any.
    ends = [attack_loss(name, model(each), labels, target) for each in (found, known["best"])]
    assert (ends[0] >= ends[1] - 1e-9).all()


def test_autopgd_searches_l1_in_the_references_three_balls(monkeypatch: pytest.MonkeyPatch) -> None:
    known = known_of("apgd/l1/balls/")
    model, images, labels = Recorded(), numbers()["images"], numbers()["labels"]
    monkeypatch.setattr(ThreatModel, "sample", lambda *_, **__: known["start"])
    found = APGD(loss="ce", stop=False)(model, images, labels, ThreatModel(norm="l1", eps=0.6))
    compare(model.points, [1, 2, 5, 10, 32, 33, 40, 61, 63, 64, 80, 102], known["points"])
    assert len(model.points) == 31 + 31 + 41
    ends = [attack_loss("ce", model(each), labels) for each in (found, known["best"])]
    assert (ends[0] >= ends[1] - 1e-9).all()


@pytest.mark.parametrize("kind", ["all", "targeted"])
@pytest.mark.parametrize("norm", NORMS)
def test_fab_takes_the_references_steps(norm: NormName, kind: str) -> None:
    known = known_of(f"fab/{norm}/{kind}/")
    model, images, labels = Recorded(), numbers()["images"], numbers()["labels"]
    attack = FAB(steps=40, targets=int(kind == "targeted"), final_steps=0)
    found = attack(model, images, labels, ThreatModel(norm=norm, eps=1.0 if norm == "linf" else 100.0))
    points = torch.stack([each for each in model.points if len(each) == 3])
    for step, theirs in zip([0, 1, 2, 3, 5, 10, 20, 39], known["points"], strict=True):
        torch.testing.assert_close(points[step], theirs, atol=1e-6, rtol=0)
    torch.testing.assert_close(found, known["found"], atol=1e-6, rtol=0)
