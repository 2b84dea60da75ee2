"""A search that is killed in the middle goes on where it was written down, to the same bytes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from robustcnn import build
from robustcnn.attacks import APGD, FAB, PGD, Attack, AutoAttack, Square, Swift
from robustcnn.attacks.craft import craft, prepare
from robustcnn.attacks.staged import NearestTargets, StagedPGD
from robustcnn.core import snapshots
from robustcnn.core.norms import NormName
from robustcnn.core.runtime import seeded
from robustcnn.core.snapshots import Snapshots, begin, kept_in
from robustcnn.core.spec import ImageSpec
from robustcnn.core.threat import ThreatModel


class Brief(AutoAttack):
    """AutoAttack's members, a few steps each."""

    __slots__ = ()

    def members(self, classes: int, threat: ThreatModel) -> tuple[Attack, ...]:
        whole = AutoAttack.members(self, classes, threat)
        return tuple(
            replace(each, **({"queries": 260} if isinstance(each, Square) else {"steps": 8}))  # type: ignore[type-var]
            for each in whole
        )


SPEC = ImageSpec(channels=1, height=12, width=12, classes=tuple("abcde"), mean=(0.5,), std=(0.3,))
ATTACKS: list[Attack] = [
    PGD(steps=6, restarts=2, stop=True),
    PGD(steps=6),
    APGD(steps=10, restarts=2),
    APGD(steps=10, restarts=2, stop=False),
    APGD(loss="dlr", steps=5, targets=3),
    FAB(steps=5, targets=3, stop=True),
    FAB(steps=4, restarts=2),
    Square(queries=260, restarts=2),
    StagedPGD(steps=8),
    NearestTargets(steps=5, restarts=2),
    Swift(effort=0.2, escalates=False),
    Brief(),
]


class Died(BaseException):
    """As a kill would."""


@pytest.fixture
def victim() -> tuple[nn.Module, Tensor, Tensor]:
    model = build("smallcnn", SPEC, width=0.25, seed=0).eval()
    images = torch.rand(9, 1, 12, 12, generator=seeded(1))
    with torch.no_grad():
        return model, images, model(images).argmax(1)


def search(attack: Attack, victim: tuple[nn.Module, Tensor, Tensor], norm: NormName, where: Snapshots | None) -> Tensor:
    model, images, labels = victim
    generator, threat = seeded(7), ThreatModel(norm=norm, eps={"linf": 0.02, "l2": 0.15, "l1": 1.5}[norm])
    with kept_in(where), torch.random.fork_rng():
        torch.manual_seed(3)
        begin(generator)
        return craft(attack, prepare(model, images, labels), images, labels, threat, generator=generator)


SIDE_BY_SIDE: list[Attack] = [APGD(steps=10, restarts=2), FAB(steps=5, targets=3, stop=True)]
CASES = [(attack, norm, False) for attack in ATTACKS for norm in ("linf", "l1")]
CASES += [(attack, "linf", True) for attack in SIDE_BY_SIDE]


@pytest.mark.filterwarnings("ignore:AutoAttack runs without Square")
@pytest.mark.parametrize(("attack", "norm", "beside"), CASES, ids=repr)
def test_a_search_that_dies_wherever_it_was_written_ends_at_the_same_bytes(
    attack: Attack,
    norm: NormName,
    beside: bool,
    victim: tuple[nn.Module, Tensor, Tensor],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if norm == "l1" and isinstance(attack, Square):
        pytest.skip("Square knows no l1")
    if beside:
        # As on a device, where searches run side by side.
        monkeypatch.setattr("robustcnn.attacks.side_by_side.HOSTS", set[str]())
    whole, looks = search(attack, victim, norm, None), [0]
    stop = [10**9]

    def look(self: Snapshots) -> None:
        looks[0] += 1
        if looks[0] == stop[0]:
            self.write()
            raise Died

    monkeypatch.setattr(Snapshots, "look", look)
    assert torch.equal(search(attack, victim, norm, Snapshots(tmp_path / "whole", "k")), whole)
    count = looks[0]
    assert count > 1
    for number, share in enumerate((0.1, 0.35, 0.6, 0.85, 1.0)):
        looks[0], stop[0] = 0, max(round(share * count), 1)
        path = tmp_path / str(number)
        with pytest.raises(Died):
            search(attack, victim, norm, Snapshots(path, "k"))
        looks[0], stop[0] = 0, 10**9
        assert torch.equal(search(attack, victim, norm, Snapshots(path, "k")), whole)
        # Only what came after was done again.
        assert looks[0] <= count - max(round(share * count), 1)


def test_a_file_of_another_piece_or_a_damaged_one_is_passed_over(
    victim: tuple[nn.Module, Tensor, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attack, path = PGD(steps=6), tmp_path / "kept"
    monkeypatch.setattr(snapshots, "SECONDS", 0.0)
    monkeypatch.setattr(snapshots, "SHARE", 0)
    whole = search(attack, victim, "linf", Snapshots(path, "mine"))
    assert path.exists()
    assert torch.equal(search(attack, victim, "linf", Snapshots(path, "another")), whole)
    path.write_bytes(path.read_bytes()[:-100])
    assert torch.equal(search(attack, victim, "linf", Snapshots(path, "another")), whole)
