"""Our attacks beside the authors' own AutoAttack, step by step on a fixed network (recorded by reference/record.py)."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from robustcnn.attacks import APGD, DDN, FAB, FMN, Square
from robustcnn.attacks.square import _inside
from robustcnn.core.losses import LossName, attack_loss, margin
from robustcnn.core.norms import NormName, saddles
from robustcnn.core.norms.l1 import L1
from robustcnn.core.norms.l2 import L2
from robustcnn.core.norms.saddles import Saddles
from robustcnn.core.runtime import seeded
from robustcnn.core.threat import ThreatModel

EPS = {"linf": 0.01, "l2": 0.05, "l1": 0.2}
NORMS = ("linf", "l2", "l1")


@cache
def numbers(name: str = "trajectories") -> dict[str, Tensor]:
    with np.load(Path(__file__).parent / "reference" / f"{name}.npz", allow_pickle=False) as file:
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


def test_squares_windows_shrink_as_the_references() -> None:
    # Theirs counts proposals from 0, ours from 1.
    shares = [Square(rescale=False).share(query + 1) for query in numbers()["square/queries"].tolist()]
    torch.testing.assert_close(torch.tensor(shares, dtype=torch.float64), numbers()["square/shares"])


@pytest.mark.parametrize("windows", [L2.windows, L1.windows], ids=["l2", "l1"])
@pytest.mark.parametrize("side", [3, 5, 7])
def test_squares_saddles_are_the_references(windows: Saddles, side: int) -> None:
    theirs = numbers()[f"square/l{windows.order}/saddle/{side}"]
    ours = windows.saddle(side)
    assert min((ours - theirs).abs().max(), (ours.T - theirs).abs().max()) < 1e-12


class Draws:
    """What the reference drew, handed out in its order to the functions that draw."""

    def __init__(self, norm: str, monkeypatch: pytest.MonkeyPatch) -> None:
        known = known_of(f"square/{norm}/")
        self.places, self.colours, self.lying = known["places"].tolist(), known["colours"], known["lying"].tolist()
        monkeypatch.setattr(Saddles, "choices", lambda _, images, *__: self.choices(images))
        monkeypatch.setattr(saddles, "signs", self.signs)

    def choices(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The target's place, the source's, a colour a channel, and how the saddle lies."""
        tops, lefts = zip(*[(self.places.pop(0), self.places.pop(0)) for _ in range(2)], strict=True)
        colours = self.signs((1, images.shape[1]), images, None) > 0
        kinds = colours.long() + 2 * int(self.lying.pop(0))
        return torch.tensor([tops]) * images.shape[3] + torch.tensor([lefts]), kinds

    def signs(self, shape: tuple[int, ...], _: Tensor, __: object) -> Tensor:
        """A colour a channel, or how the saddles of the start lie."""
        if len(shape) == 6:
            tiles = [self.lying.pop(0) for _ in range(25)]
            return torch.tensor(tiles).double().reshape(shape) * 2 - 1
        count = math.prod(shape)
        drawn, self.colours = self.colours[:count], self.colours[count:]
        # A grid's colours come tile by tile there, channel by channel here.
        return drawn.reshape(25, 2).T.reshape(shape) if len(shape) == 4 and shape[2] > 1 else drawn.reshape(shape)


@pytest.mark.parametrize("norm", ["l2", "l1"])
def test_square_tries_what_the_reference_tries(norm: NormName, monkeypatch: pytest.MonkeyPatch) -> None:
    images, theirs = numbers()["square/images"], numbers()[f"square/{norm}/candidates"]
    threat, attack, model = ThreatModel(norm=norm, eps=EPS[norm]), Square(rescale=False, p_init=0.3), Recorded()
    Draws(norm, monkeypatch)

    def loss(candidate: Tensor) -> Tensor:
        return margin(model(F.adaptive_avg_pool2d(candidate, 6)), torch.zeros(1, dtype=torch.int64))

    windows = threat.windows
    assert windows is not None
    ours = _inside(windows.start(images, threat.eps, seeded(0)), images, windows, threat)
    best = ours
    for query, candidate in enumerate(theirs):
        torch.testing.assert_close(ours, candidate[None], atol=1e-6, rtol=0)
        best = ours if query == 0 or loss(ours) > loss(best) else best
        if query + 1 < len(theirs):
            side = attack._side(query + 1, images, windows)
            ours = _inside(windows.change(images, best, threat.eps, side, seeded(0)), images, windows, threat)


def test_ddn_takes_adversarial_librarys_steps() -> None:
    model, images, labels = Recorded(), numbers()["images"], numbers()["labels"]
    DDN(steps=40, first_norm=0.2)(model, images, labels, ThreatModel(norm="l2", eps=100.0))
    points = [each for each in model.points if len(each) == len(images)]
    known = numbers("minimal")
    for step, theirs in zip(known["kept"].tolist(), known["ddn/points"], strict=True):
        torch.testing.assert_close(points[step], theirs, atol=1e-6, rtol=0)


@pytest.mark.parametrize("norm", NORMS)
def test_fmn_ends_no_farther_than_adversarial_librarys(norm: NormName) -> None:
    # Ours goes on growing where the published first guess stalls, so that the steps differ.
    images, threat = numbers()["images"], ThreatModel(norm=norm, eps=1.0 if norm == "linf" else 100.0)
    found = FMN(steps=40, step_size=0.3)(Recorded(), images, numbers()["labels"], threat)
    theirs = numbers("minimal")[f"fmn/{norm}/distance"]
    assert (threat.distance(found, images) <= 1.01 * theirs).all()
    assert (threat.distance(found, images) >= 0.5 * theirs).all()
