"""Staged ascents, nearest targets, and the ensemble of both: known worst cases, and when AutoAttack takes over."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor, nn

from robustcnn.attacks.autopgd import APGD
from robustcnn.attacks.base import is_fooled
from robustcnn.attacks.ensemble import AutoAttack
from robustcnn.attacks.gradient import PGD
from robustcnn.attacks.linearise import nearest_targets
from robustcnn.attacks.square import Square
from robustcnn.attacks.staged import NearestTargets, StagedPGD
from robustcnn.attacks.swift import Seen, Swift, _Ground, answers_vary, takeover
from robustcnn.attacks.targets import Target, choose_targets
from robustcnn.core.losses import margin
from robustcnn.core.runtime import seeded
from robustcnn.core.threat import NormName, ThreatModel

if TYPE_CHECKING:
    from tests.attacks.conftest import Trained

DUAL = {"linf": 1, "l2": 2, "l1": torch.inf}
THREAT = ThreatModel(eps=0.12)
ASCENTS = (StagedPGD(steps=40), NearestTargets(steps=40), Swift(sentinel=0))


class Times(nn.Module):
    """The same classes, surer by a factor."""

    def __init__(self, model: nn.Module, factor: float) -> None:
        super().__init__()
        self.model, self.factor = model, factor

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.model(images)
        return self.factor * logits


class Classes(nn.Module):
    """Linear, of any number of classes."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(classes, 16, generator=seeded(3), dtype=torch.float64))

    def forward(self, images: Tensor) -> Tensor:
        return (images.flatten(1) - 0.5) @ self.weight.T

    def distances(self, images: Tensor, labels: Tensor, dual: float) -> Tensor:
        """To every other class; infinite to the own."""
        logits = self(images).detach()
        gaps = logits.gather(1, labels[:, None]) - logits
        slopes = (self.weight[None] - self.weight[labels][:, None]).norm(p=dual, dim=2).detach()
        return torch.where(slopes > 0, gaps / slopes, torch.inf)


@pytest.fixture
def grey() -> Tensor:
    return 0.4 + 0.2 * torch.rand(48, 1, 4, 4, generator=seeded(5), dtype=torch.float64)


@pytest.mark.filterwarnings("ignore:.*DLR loss:UserWarning")
@pytest.mark.parametrize("classes", [2, 3, 10])
@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
@pytest.mark.parametrize("attack", ASCENTS, ids=repr)
def test_a_linear_model_falls_exactly_where_theory_says(
    attack: StagedPGD, norm: NormName, classes: int, grey: Tensor
) -> None:
    model = Classes(classes)
    labels = model(grey).argmax(1)
    distance = model.distances(grey, labels, DUAL[norm]).amin(1)
    threat = ThreatModel(norm=norm, eps=distance.median().item())
    # Fixed steps of a few pixels come near the worst case of l1, not to it.
    slack = 0.1 if norm == "l1" else 0.02
    sure = (distance / threat.eps - 1).abs() > slack
    found = attack(model, grey, labels, threat)
    assert torch.equal(is_fooled(model(found), labels)[sure], (distance < threat.eps)[sure])


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_the_nearest_targets_are_those_of_least_distance(norm: NormName, grey: Tensor) -> None:
    model = Classes(7)
    labels = model(grey).argmax(1)
    nearest = model.distances(grey, labels, DUAL[norm]).argsort(dim=1)[:, :3]
    assert torch.equal(nearest_targets(model, grey, labels, ThreatModel(norm=norm), count=3, candidates=9), nearest)
    assert not torch.equal(model(grey).argsort(dim=1, descending=True)[:, 1:4], nearest)


def test_sureness_hides_nothing(trained: Trained) -> None:
    model, images, labels = trained
    broken = is_fooled(model(StagedPGD(steps=20)(model, images, labels, THREAT)), labels)
    for factor in (1e6, 1e-4):
        again = is_fooled(model(StagedPGD(steps=20)(Times(model, factor), images, labels, THREAT)), labels)
        assert (broken ^ again).double().mean() <= 0.01
    assert 0.2 < broken.double().mean() < 0.98


def test_staged_margins_break_what_autopgd_breaks(trained: Trained) -> None:
    model, images, labels = trained
    ours, theirs = (
        int(is_fooled(model(attack(model, images, labels, THREAT)), labels).sum())
        for attack in (StagedPGD(steps=50, orders=1), APGD(steps=50))
    )
    assert ours >= theirs - 1


def test_those_nearest_to_falling_are_given_more(trained: Trained) -> None:
    outcome = Swift(sentinel=20).run(*trained, THREAT)
    broken = is_fooled(trained.model(outcome.images), trained.labels)
    assert torch.equal(broken, ~outcome.standing)
    assert outcome.escalated == ""
    assert [name.partition("(")[0] for name in outcome.names] == [
        *("StagedPGD", "NearestTargets", "StagedPGD", "NearestTargets", "APGD", "NearestTargets"),
        *("sentinel: Square", "sentinel: Square"),
    ]
    by_staged = is_fooled(trained.model(StagedPGD(steps=40, orders=1)(*trained, THREAT)), trained.labels)
    assert broken[by_staged].all()


def test_all_may_fall_and_none_may(trained: Trained) -> None:
    assert not Swift().run(*trained, ThreatModel(eps=0.9)).standing.any()
    right = (trained.model(trained.images).argmax(1) == trained.labels).nonzero().flatten()[:20]
    few = trained.images[right], trained.labels[right]
    assert Swift(effort=0.2).run(trained.model, *few, ThreatModel(eps=1e-6)).standing.all()


class Rounding(nn.Module):
    """Rounds pixels first: no gradient is left."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.model((images * 31).round() / 31 + 0 * images)
        return logits


@pytest.fixture
def few(trained: Trained) -> tuple[Tensor, Tensor]:
    return trained.images[:16], trained.labels[:16]


def test_what_the_sentinel_finds_hands_over_to_autoattack(
    trained: Trained, few: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert repr(takeover(THREAT)) == "WorstOf(attacks=(AutoAttack(), Square()))"
    monkeypatch.setattr("robustcnn.attacks.swift.takeover", lambda _: Square(queries=500))
    outcome = Swift(effort=0.3).run(Rounding(trained.model), *few, THREAT)
    assert outcome.escalated.startswith("Square(queries=90) broke")
    assert outcome.names[-1] == "Square(queries=500)"
    alone = Swift(effort=0.3, escalates=False).run(Rounding(trained.model), *few, THREAT)
    assert alone.escalated == ""
    assert outcome.standing.sum() < alone.standing.sum()


def test_a_sentinel_doubts_any_hit_at_random_and_a_tenth_of_a_point_of_the_nearest() -> None:
    near, anywhere = Swift().sentinels(THREAT)
    assert anywhere.doubt(Seen(100, 1, 0), 10_000)
    assert not anywhere.doubt(Seen(100, 0, 0), 10_000)
    assert near.doubt(Seen(100, 1, 0), 500)
    assert not near.doubt(Seen(100, 10, 0), 10_000)
    assert near.doubt(Seen(100, 11, 0), 10_000).startswith("Square(queries=300) broke 11 of those nearest to falling")


def test_a_sentinel_doubts_ascents_that_it_often_outdoes() -> None:
    near, anywhere = Swift().sentinels(THREAT)
    assert not near.doubt(Seen(100, 0, 5), 10_000)
    assert not near.doubt(Seen(8, 0, 1), 10_000)
    assert near.doubt(Seen(8, 0, 2), 10_000)
    assert anywhere.doubt(Seen(100, 0, 6), 10_000) == (
        "Square(queries=300) got a quarter further than all ascents on 6 of 100, a random part of what stood: "
        "gradients do not show all"
    )


class Stairs(nn.Module):
    """Rounds pixels, with a slope that points the wrong way: few fall, and gradients mislead."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        steps = (images * 15).round() / 15
        logits: Tensor = self.model(steps - 0.01 * (images - images.detach()))
        return logits


def test_ascents_that_go_down_are_noticed_before_anything_else_falls(
    trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, images, labels = trained
    monkeypatch.setattr("robustcnn.attacks.swift.takeover", lambda _: Square(queries=10))
    threat = ThreatModel(norm="linf", eps=0.04)
    sure = (-margin(model(images), labels)).argsort(descending=True)[:24]
    outcome = Swift(effort=0.3).run(Stairs(model), images[sure], labels[sure], threat)
    assert "got a quarter further" in outcome.escalated
    assert Swift(effort=0.3).run(model, images[sure], labels[sure], threat).escalated == ""


class Stateful(nn.Module):
    """Every second answer is to a slightly shifted question."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.calls = model, 0

    def forward(self, images: Tensor) -> Tensor:
        self.calls += 1
        logits: Tensor = self.model((images + 0.1 * (self.calls % 2)).clamp(0, 1))
        return logits


class Drawing(nn.Module):
    """Answers to a noisy image."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.generator = model, seeded(0)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.model(images + 0.1 * torch.randn(images.shape, generator=self.generator))
        return logits


@pytest.mark.parametrize("kind", [Stateful, Drawing])
def test_a_model_that_does_not_answer_twice_alike_meets_autoattack(
    kind: type[nn.Module], trained: Trained, few: tuple[Tensor, Tensor]
) -> None:
    images, labels = few[0][:4], few[1][:4]
    outcome = Swift().run(kind(trained.model), images, labels, THREAT)
    assert outcome.escalated == "the model does not answer twice alike"
    assert outcome.names == tuple(map(repr, AutoAttack(version="rand").members(10, THREAT)))
    assert answers_vary(kind(trained.model), images)
    assert not answers_vary(trained.model, images)
    assert not answers_vary(Times(trained.model, 1e6), images)


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_of_two_classes_too_the_nearest_go_on(norm: NormName, grey: Tensor) -> None:
    model, threat = Classes(2), ThreatModel(norm=norm, eps=1e-3)
    labels = model(grey).argmax(1)
    ground = _Ground(model, grey, labels, threat, seeded(0))
    ground.left = len(grey)
    nearest = model.distances(grey, labels, DUAL[norm]).amin(1).argsort()[:12]
    assert torch.equal(ground.nearest(0.25), nearest)


def test_a_second_ascent_of_two_classes_starts_elsewhere(grey: Tensor) -> None:
    model, starts = Classes(2), list[Tensor]()
    labels = model(grey).argmax(1)
    hook = model.register_forward_pre_hook(lambda _, shown: starts.append(shown[0].detach()))
    StagedPGD(steps=3, orders=2)(model, grey, labels, ThreatModel(eps=1e-3))
    hook.remove()
    assert sum(len(each) == len(grey) and torch.equal(each, grey) for each in starts) == 2


@pytest.mark.filterwarnings("ignore:.*DLR loss:UserWarning")
@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_a_target_is_reached_as_often_as_theory_says(norm: NormName, grey: Tensor) -> None:
    model = Classes(2)
    labels = model(grey).argmax(1)
    distance = model.distances(grey, labels, DUAL[norm]).amin(1)
    threat = ThreatModel(norm=norm, eps=distance[labels == 0].median().item())
    sure = (distance / threat.eps - 1).abs() > (0.1 if norm == "l1" else 0.02)
    found = Swift(target=1, sentinel=0)(model, grey, labels, threat)
    reached = model(found).argmax(1) == 1
    assert torch.equal(reached[sure], ((distance < threat.eps) | (labels == 1))[sure])
    assert torch.equal(found[labels == 1], grey[labels == 1])


@pytest.mark.filterwarnings("ignore:.*DLR loss:UserWarning")
@pytest.mark.parametrize("target", ["second", "least", "random", 3])
def test_a_target_is_reached_at_least_as_often_as_by_pgd(target: Target, trained: Trained) -> None:
    model, images, labels = trained.model, trained.images[:24], trained.labels[:24]
    wide = ThreatModel(eps=0.3)
    outcome = Swift(target=target).run(model, images, labels, wide, generator=seeded(0))
    aims = choose_targets(target, model(images), labels, generator=seeded(0))
    found = PGD(steps=50, target=target, stop=True)(model, images, labels, wide, generator=seeded(0))
    ours, theirs = ((model(each).argmax(1) == aims) & (aims != labels) for each in (outcome.images, found))
    assert ours.sum() >= theirs.sum() > 0
    assert torch.equal(ours, ~outcome.standing)


def test_l1_climbs_by_steps_that_adapt_and_ends_with_square() -> None:
    threat = ThreatModel(norm="l1", eps=5)
    stages = [stage.attack for stage in Swift(sentinel=0).stages(threat)]
    # Steps of one length, in all but the first stage, left 190 of 500 images where AutoAttack leaves 172.
    assert all(isinstance(stage, APGD) for stage in stages[:-1])
    assert isinstance(stages[-1], Square)
    # Where a sentinel is kept, it is the first to search without gradients.
    assert [stage.attack for stage in Swift().stages(threat)] == stages[:-1]


def test_senseless_options_are_refused() -> None:
    with pytest.raises(ValueError, match="effort must be positive, got 0"):
        Swift(effort=0)
    with pytest.raises(ValueError, match="sentinel must be a number of examples, or 0 for none, got -1"):
        Swift(sentinel=-1)
    with pytest.raises(ValueError, match="orders must be 1 or 2, got 3"):
        StagedPGD(orders=3)
    with pytest.raises(ValueError, match=r"targets must lie in 1\.\.9 \(candidates\), got 10"):
        NearestTargets(targets=10)
    with pytest.raises(ValueError, match="steps must be at least 1, got 0"):
        StagedPGD(steps=0)
