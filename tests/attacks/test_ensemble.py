"""Ensembles: the worst case, who is to blame for it, and AutoAttack's published composition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor, nn

from robustcnn.attacks.autopgd import APGD
from robustcnn.attacks.base import Attack, Guarded, is_fooled
from robustcnn.attacks.ensemble import AutoAttack, WorstOf
from robustcnn.attacks.fab import FAB
from robustcnn.attacks.gradient import FGSM, PGD
from robustcnn.attacks.noise import CornerNoise, UniformNoise
from robustcnn.attacks.spatial import SpatialGrid
from robustcnn.attacks.square import Square
from robustcnn.core.broken_by import BrokenBy
from robustcnn.core.losses import margin
from robustcnn.core.threat import ThreatModel

if TYPE_CHECKING:
    from tests.attacks.conftest import Trained

THREAT = ThreatModel(eps=0.12)
MEMBERS: tuple[Attack, ...] = (UniformNoise(), CornerNoise(), FGSM(), PGD(steps=10))


@dataclass(frozen=True)
class Recorded(Guarded):
    """Remembers how many examples it was given."""

    attack: Guarded
    given: list[int]

    def search(self, model: nn.Module, images: Tensor, labels: Tensor, threat: ThreatModel, generator) -> Tensor:  # type: ignore[no-untyped-def]
        self.given.append(len(images))
        return self.attack.search(model, images, labels, threat, generator)


def test_each_example_has_its_worst_case_over_all_attacks(trained: Trained) -> None:
    model, images, labels = trained
    worst = margin(model(WorstOf(attacks=(FGSM(), PGD(random_start=False)))(model, images, labels, THREAT)), labels)
    for attack in (FGSM(), PGD(random_start=False)):
        alone = margin(model(attack(model, images, labels, THREAT)), labels)
        # Once broken an example is left alone; standing ones have the greatest margin that anybody reached.
        assert ((worst > 0) | (alone <= 0)).all()
        assert (worst >= alone - 1e-5)[worst <= 0].all()


def test_the_outcome_says_which_attack_broke_which_example(trained: Trained) -> None:
    model, images, labels = trained
    outcome = WorstOf(attacks=MEMBERS).run(model, images, labels, THREAT)
    assert outcome.names == tuple(map(repr, MEMBERS))
    broken = is_fooled(model(outcome.images), labels)
    assert torch.equal(broken, ~outcome.standing)
    assert torch.equal(outcome.broken_by == BrokenBy.CLEAN, is_fooled(model(images), labels))
    first = MEMBERS[2]
    by_fgsm = is_fooled(model(first(model, images, labels, THREAT)), labels)
    assert by_fgsm[outcome.broken_by == 2].all()
    counts = outcome.counts()
    assert sum(counts.values()) == len(images)
    assert list(counts) == ["clean", *outcome.names, "standing"]
    assert counts["standing"] == int((~broken).sum())
    assert counts["FGSM()"] > 0


def test_only_survivors_go_on(trained: Trained) -> None:
    model, images, labels = trained
    given: list[int] = []
    WorstOf(attacks=tuple(Recorded(attack, given) for attack in (FGSM(), FGSM(), FGSM())))(
        model, images, labels, THREAT
    )
    assert given[0] == int((~is_fooled(model(images), labels)).sum())
    assert given[0] > given[1] == given[2] > 0


def test_an_attack_that_leaves_the_ball_is_refused() -> None:
    with pytest.raises(ValueError, match=r"attacks must stay in the threat's ball, SpatialGrid\(.*\) does not"):
        WorstOf(attacks=(FGSM(), SpatialGrid()))


def test_no_attacks_are_refused() -> None:
    with pytest.raises(ValueError, match="attacks must hold at least one attack"):
        WorstOf(attacks=())


def test_the_standard_version_has_the_published_budgets() -> None:
    members = AutoAttack().members(10, ThreatModel())
    assert members == (APGD(), APGD(loss="dlr", targets=9), FAB(targets=9, stop=True), Square(rescale=False))
    assert (APGD().steps, APGD().restarts, APGD().loss) == (100, 1, "odds")
    assert (FAB().steps, Square().queries) == (100, 5000)


def test_the_plus_version_has_untargeted_attacks_with_five_restarts() -> None:
    members = AutoAttack(version="plus").members(100, ThreatModel())
    assert members[:3] == (APGD(restarts=5), APGD(loss="dlr", restarts=5), FAB(restarts=5, stop=True))
    assert set(members[3:]) == set(AutoAttack().members(100, ThreatModel())[1:])


def test_the_rand_version_averages_twenty_gradients() -> None:
    assert AutoAttack(version="rand").members(10, ThreatModel()) == (
        APGD(loss="ce", eot=20),
        APGD(loss="dlr", eot=20),
    )


@pytest.mark.parametrize("classes", [2, 3])
def test_with_two_or_three_classes_the_margin_steps_in_and_says_so(classes: int) -> None:
    with pytest.warns(UserWarning, match=f"DLR loss needs 4 classes, the model has {classes}: the margin"):
        members = AutoAttack().members(classes, ThreatModel())
    assert members[1] == APGD(loss="margin", targets=classes - 1)
    assert members[2] == FAB(targets=classes - 1, stop=True)


def test_l1_has_the_published_budgets_of_its_own() -> None:
    members = AutoAttack().members(10, ThreatModel(norm="l1", eps=5))
    assert members == (
        APGD(restarts=5),
        APGD(loss="dlr", targets=5),
        FAB(targets=9, stop=True),
        Square(rescale=False),
    )


@pytest.mark.filterwarnings("ignore:.*margin:UserWarning")
def test_a_binary_linear_model_falls_exactly_where_theory_says(binary: nn.Module) -> None:
    images = torch.rand(64, 1, 4, 4, generator=torch.Generator().manual_seed(3), dtype=torch.float64) * 0.2 + 0.4
    logits = binary(images).detach()
    labels, threat = logits.argmax(1), ThreatModel(eps=0.03)
    slope = (binary.weight[1] - binary.weight[0]).abs().sum().detach()
    distance = (logits[:, 1] - logits[:, 0]).abs() / slope
    found = AutoAttack()(binary, images, labels, threat)
    assert 0.05 < (distance < 0.03).double().mean() < 0.95
    sure = (distance - 0.03).abs() > 1e-4
    assert torch.equal(is_fooled(binary(found), labels)[sure], (distance < 0.03)[sure])


def test_a_wrong_version_is_named() -> None:
    with pytest.raises(ValueError, match="version must be one of standard, plus, rand, got 'fast'"):
        AutoAttack(version="fast")  # type: ignore[arg-type]


@pytest.mark.slow
def test_autoattack_breaks_at_least_what_pgd_breaks(trained: Trained) -> None:
    model, images, labels = trained.model, trained.images[:32], trained.labels[:32]
    outcome = AutoAttack().run(model, images, labels, THREAT)
    by_pgd = is_fooled(model(PGD(steps=100, restarts=3)(model, images, labels, THREAT)), labels)
    assert not (by_pgd & outcome.standing).any()
