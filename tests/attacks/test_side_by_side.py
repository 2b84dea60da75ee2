"""On a device, targets and restarts are searched side by side: as good an answer from a fraction of the looks."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from robustcnn import build
from robustcnn.attacks import APGD, FAB
from robustcnn.attacks.base import Guarded
from robustcnn.attacks.side_by_side import side_by_side
from robustcnn.core.runtime import seeded
from robustcnn.core.spec import ImageSpec
from robustcnn.core.threat import ThreatModel
from robustcnn.fast.plain_view import PlainView

SPEC = ImageSpec(channels=1, height=12, width=12, classes=tuple("abcde"), mean=(0.5,), std=(0.3,))
IMAGES = torch.rand(12, 1, 12, 12, generator=seeded(1))


class Counted(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net, self.shown = build("smallcnn", SPEC, width=0.25, seed=0).eval(), list[int]()

    def forward(self, images: Tensor) -> Tensor:
        self.shown.append(len(images))
        logits: Tensor = self.net(images)
        return logits


def attacked(attack: Guarded, threat: ThreatModel, *, chunk: int = 100) -> tuple[Tensor, list[int]]:
    model = Counted()
    with torch.no_grad():
        labels = model(IMAGES).argmax(1)
    model.shown.clear()
    found = attack(PlainView(model, chunk=chunk), IMAGES, labels, threat, generator=seeded(7))
    with torch.no_grad():
        fooled = model.net(found).argmax(1) != labels
    assert (threat.distance(found, IMAGES) <= threat.eps_of(IMAGES) * (1 + 1e-5)).all()
    return torch.where(fooled, threat.distance(found, IMAGES), torch.inf), model.shown


@pytest.fixture
def far(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("robustcnn.attacks.side_by_side.HOSTS", set[str]())


def each(threat: ThreatModel) -> ThreatModel:
    return threat.each(torch.linspace(0.5, 1.5, len(IMAGES)) * threat.one_eps)


@pytest.mark.parametrize(
    "attack", [APGD(steps=12, targets=4), APGD(steps=12, restarts=4), FAB(steps=12, targets=4)], ids=repr
)
@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("radii", [False, True])
def test_as_many_fall_in_a_fraction_of_the_looks(
    attack: Guarded, norm: str, radii: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # All searches start at the image itself, so that no luck of a start comes in.
    monkeypatch.setattr(ThreatModel, "sample", lambda _, images, __, **___: images)
    threat = ThreatModel(norm=norm, eps={"linf": 0.02, "l2": 0.15}[norm])
    threat = each(threat) if radii else threat
    one_by_one, alone = attacked(attack, threat)
    monkeypatch.setattr("robustcnn.attacks.side_by_side.HOSTS", set[str]())
    together, shown = attacked(attack, threat)
    assert 0 < one_by_one.isfinite().sum() < len(IMAGES)
    torch.testing.assert_close(together, one_by_one, rtol=0, atol=1e-5)
    assert len(shown) < 0.4 * len(alone)
    assert max(shown) <= 100


@pytest.mark.usefixtures("far")
def test_a_batch_is_filled_and_not_more() -> None:
    view = PlainView(nn.Identity(), chunk=100)
    assert [side_by_side(view, torch.empty(count), 9) for count in (0, 1, 12, 50, 51, 200)] == [1, 9, 8, 2, 1, 1]
    # Nobody knows how many are best looked at together.
    assert side_by_side(nn.Identity(), torch.empty(3), 9) == 1


def test_on_a_cpu_the_fallen_are_left_out_instead() -> None:
    assert side_by_side(PlainView(nn.Identity(), chunk=100), torch.empty(3), 9) == 1


@pytest.mark.usefixtures("far")
def test_a_search_for_the_worst_of_all_goes_one_by_one() -> None:
    threat = ThreatModel(norm="linf", eps=0.02)
    _, shown = attacked(APGD(steps=3, restarts=3, stop=False), threat)
    assert max(shown) == len(IMAGES)
