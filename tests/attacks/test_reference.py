"""Our attacks beside the authors' own AutoAttack, step by step on a fixed network (recorded by reference/record.py)."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from robustcnn.attacks import APGD, FAB
from robustcnn.core.threat import Norm, ThreatModel

EPS = {"linf": 0.01, "l2": 0.05, "l1": 0.2}
NORMS = ("linf", "l2", "l1")


@cache
def numbers() -> dict[str, Tensor]:
    with np.load(Path(__file__).parent / "reference" / "trajectories.npz", allow_pickle=False) as file:
        return {name: torch.from_numpy(file[name]) for name in file.files}


class Recorded(nn.Module):
    """The recorded network; notes the points at which a gradient is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.Tanh(), nn.Flatten(), nn.Linear(4 * 36, 6)).double()
        self.net.load_state_dict({key.removeprefix("network/"): value for key, value in numbers().items() if "network/" in key})
        self.points: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        if images.requires_grad:
            self.points.append(images.detach().clone())
        return self.net(images)


@pytest.mark.parametrize("loss", ["ce", "dlr", "targeted"])
@pytest.mark.parametrize("norm", NORMS)
def test_autopgd_takes_the_references_steps(norm: Norm, loss: str, monkeypatch: pytest.MonkeyPatch) -> None:
    known = {key.rpartition("/")[2]: value for key, value in numbers().items() if key.startswith(f"apgd/{norm}/{loss}/")}
    model, images, labels = Recorded(), numbers()["images"], numbers()["labels"]
    monkeypatch.setattr(ThreatModel, "sample", lambda *_, **__: known["start"])
    attack = APGD(loss="dlr" if loss == "targeted" else loss, relax=False, stop=False)
    if loss == "targeted":
        target = model(images).sort(dim=1).indices[:, -3]
        monkeypatch.setattr(APGD, "_aims", lambda *_: iter([target]))
    attack(model, images, labels, ThreatModel(norm=norm, eps=EPS[norm]))
    points = torch.stack(model.points)
    for step, theirs in zip(numbers()["steps"].tolist(), known["points"], strict=True):
        gap = (points[step] - theirs).abs().max()
        print(norm, loss, step, float(gap))


@pytest.mark.parametrize("kind", ["all", "targeted"])
@pytest.mark.parametrize("norm", NORMS)
def test_fab_takes_the_references_steps(norm: Norm, kind: str) -> None:
    known = {key.rpartition("/")[2]: value for key, value in numbers().items() if key.startswith(f"fab/{norm}/{kind}/")}
    model, images, labels = Recorded(), numbers()["images"], numbers()["labels"]
    attack = FAB(steps=40, targets=int(kind == "targeted"), final_steps=0)
    found = attack(model, images, labels, ThreatModel(norm=norm, eps=1.0 if norm == "linf" else 100.0))
    points = torch.stack([each for each in model.points if len(each) == 3])
    for step, theirs in zip([0, 1, 2, 3, 5, 10, 20, 39], known["points"], strict=True):
        print("fab", norm + kind, step, float((points[step] - theirs).abs().max()))
    print("fab", norm + kind, 100, float((found - known["found"]).abs().max()))
