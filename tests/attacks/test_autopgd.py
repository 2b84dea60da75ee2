"""AutoPGD: its rules in scenes made by hand, and its strength beside PGD's."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from victims import Linear, Trained

from robustcnn.attacks.autopgd import APGD
from robustcnn.attacks.autopgd_rules import DenseRun, SparseRun
from robustcnn.attacks.base import Slope
from robustcnn.attacks.gradient import PGD
from robustcnn.core.losses import cross_entropy
from robustcnn.core.norms import NormName
from robustcnn.core.runtime import seeded
from robustcnn.core.threat import ThreatModel

BALLS = [ThreatModel(norm="linf", eps=0.15), ThreatModel(norm="l2", eps=0.8), ThreatModel(norm="l1", eps=3)]
HALF = torch.full((3, 4), 0.5)


def slope(loss: list[float], *, at: Tensor = HALF) -> Slope:
    return Slope(torch.tensor(loss, dtype=torch.float32), torch.zeros(3, 2), torch.ones_like(at))


def test_checkpoints_are_those_of_the_paper() -> None:
    assert DenseRun.checkpoints(100) == [22, 41, 57, 70, 80, 87, 93, 99]
    assert DenseRun.checkpoints(50) == [11, 21, 29, 35, 40, 44, 47, 50]
    assert DenseRun.checkpoints(1) == [1]
    assert SparseRun.checkpoints(100) == list(range(4, 101, 4))


def test_a_step_is_halved_after_too_few_gains_or_no_new_best_and_not_otherwise() -> None:
    threat = ThreatModel(norm="linf", eps=0.1)
    run = DenseRun.begin(HALF, HALF, slope([0.0, 0, 0]), threat, fresh=True)
    assert run.stride.tolist() == pytest.approx([0.2] * 3)
    # The first example gains in every step, the second in two of four, the third never.
    for step, losses in enumerate([[1.0, 1, -1], [2, 0, -2], [3, 2, -1.5], [4, 1, -1.6]]):
        run.arrive(HALF + 0.01 * (step + 1), slope(losses))
    assert run.gains.tolist() == [4, 2, 1]
    run.review(steps=4, rho=0.75)
    assert run.stride.tolist() == pytest.approx([0.2, 0.1, 0.1])
    # Who was halved goes on from the best point: the third step's, and the start.
    torch.testing.assert_close(run.current[:, 0], torch.tensor([0.54, 0.53, 0.5]))
    # Nothing new for anyone: the first is stuck with an unchanged stride, the others' has just been changed.
    for _ in range(2):
        run.arrive(HALF, slope([4.0, 2, 0]))
    run.losses = [torch.full((3,), loss) for loss in (0.0, 1.0, 2.0)]
    run.review(steps=2, rho=0.75)
    assert run.stride.tolist() == pytest.approx([0.1, 0.1, 0.1])
    run.losses = [torch.full((3,), loss) for loss in (0.0, 1.0, 2.0)]
    run.review(steps=2, rho=0.75)
    assert run.stride.tolist() == pytest.approx([0.1, 0.05, 0.05])


def test_the_second_step_keeps_a_quarter_of_the_first_move() -> None:
    threat = ThreatModel(norm="linf", eps=0.3)
    run = DenseRun.begin(HALF, HALF, slope([0.0, 0, 0]), threat, fresh=True)
    run.stride = torch.full((3,), 0.04)
    first = run.propose(first=True)
    torch.testing.assert_close(first, HALF + 0.04)
    run.arrive(first, Slope(torch.zeros(3), torch.zeros(3, 2), -torch.ones_like(HALF)))
    torch.testing.assert_close(run.propose(first=False), first - 0.75 * 0.04 + 0.25 * 0.04)


def test_l1_steps_follow_the_support_of_the_best_point() -> None:
    threat = ThreatModel(norm="l1", eps=3)
    origin = torch.full((2, 30), 0.5)
    flat = Slope(torch.zeros(2), torch.zeros(2, 2), torch.ones_like(origin))
    run = SparseRun.begin(origin, origin, flat, threat, fresh=True)
    assert run.wanted.tolist() == [6, 6]
    assert run.stride.tolist() == [3, 3]
    moved = origin.clone()
    moved[0, :6] += 0.1
    moved[1] += 0.1
    run.arrive(moved, flat._replace(loss=torch.ones(2)))
    run.arrive(origin, flat)
    run.review(steps=4, rho=0.75)
    # Sparser than before (6 of 30 pixels): long strides again from the best point. As dense as before: shorter.
    assert run.wanted.tolist() == [4, 20]
    assert run.stride.tolist() == pytest.approx([3, 2])
    assert torch.equal(run.current, torch.stack([moved[0], origin[1]]))
    for _ in range(20):
        run.review(steps=4, rho=0.75)
    assert run.stride.tolist() == pytest.approx([0.3, 0.3])


def fooled(trained: Trained, attacked: Tensor) -> Tensor:
    return trained.model(attacked).argmax(1) != trained.labels


@pytest.mark.parametrize("threat", BALLS, ids=str)
def test_apgd_50_climbs_higher_and_fools_no_fewer_than_pgd_50(threat: ThreatModel, trained: Trained) -> None:
    pgd = PGD(steps=50, best=True)(*trained, threat, generator=seeded(0))
    apgd = APGD(steps=50, stop=False)(*trained, threat, generator=seeded(0))
    loss, rival = (cross_entropy(trained.model(attacked), trained.labels).mean() for attacked in (apgd, pgd))
    assert loss > rival
    # One example more or less is the luck of the start.
    assert fooled(trained, apgd).sum() >= fooled(trained, pgd).sum() - 1


@pytest.mark.parametrize("threat", BALLS, ids=str)
def test_aiming_at_each_class_in_turn_fools_no_fewer_than_aiming_at_none(threat: ThreatModel, trained: Trained) -> None:
    none = APGD(steps=10, loss="dlr")(*trained, threat)
    every = APGD(steps=10, loss="dlr", targets=9)(*trained, threat)
    assert fooled(trained, every).sum() >= fooled(trained, none).sum() - 1
    assert fooled(trained, none).sum() > fooled(trained, trained.images).sum()


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_a_linear_model_is_led_to_its_known_worst_case(norm: NormName, binary: Linear) -> None:
    threat = ThreatModel(norm=norm, eps=0.1)
    images = 0.4 + 0.1 * torch.rand(6, 16, generator=seeded(0), dtype=torch.float64)
    labels = torch.tensor([0, 1] * 3)
    attacked = APGD(stop=False, loss="margin")(binary, images, labels, threat)
    gain = (1 - 2 * labels) * (binary(attacked) - binary(images)).detach().diff(dim=1).squeeze(1)
    worst = 0.1 * threat.dual((binary.weight[1] - binary.weight[0])[None]).detach()
    torch.testing.assert_close(gain, worst.expand(6), rtol=1e-4, atol=0)


def test_restarts_go_to_those_who_still_stand(trained: Trained) -> None:
    sizes: list[int] = []

    class Watched(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            sizes.append(len(images))
            return trained.model(images)

    attacked = APGD(steps=5, restarts=3)(Watched(), trained.images, trained.labels, BALLS[0])
    assert sizes[-1] < sizes[2] < len(trained.images)
    one = APGD(steps=5)(*trained, BALLS[0])
    first = fooled(trained, one)
    assert torch.equal(attacked[first], one[first])
    assert fooled(trained, attacked).sum() > first.sum()


def test_what_fools_only_in_a_larger_ball_does_not_count(trained: Trained) -> None:
    threat = ThreatModel(norm="l1", eps=1)
    attacked = APGD(steps=20, relax=True)(*trained, threat)
    assert (threat.distance(attacked, trained.images) <= 1 + 1e-6).all()
    phases = APGD(steps=20)._phases(threat)
    assert phases == [(3, 6), (2, 6), (1, 8)]
    assert APGD(steps=20, relax=False)._phases(threat) == [(1, 20)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"targets": -1}, r"targets must be 0 \(none\) or a number of classes, got -1"),
        ({"rho": 0}, r"rho must lie in \(0, 1\], got 0"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        APGD(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize(("kind", "takes"), [(SparseRun, True), (DenseRun, False)])
def test_of_two_points_with_one_loss_only_l1_takes_the_later(kind: type[SparseRun | DenseRun], takes: bool) -> None:
    # In l1 it is the sparser one: steps as wide as the earlier's support would lead back to it for ever.
    run = kind.begin(HALF, HALF, slope([1, 1, 1]), BALLS[2], fresh=True)
    run.arrive(HALF + 0.1, slope([1, 1, 1]))
    assert torch.equal(run.best, HALF + 0.1) == takes


def test_what_rounding_alone_tells_apart_is_one_loss_in_l1() -> None:
    run = SparseRun.begin(HALF, HALF, slope([1, 1, 1]), BALLS[2], fresh=True)
    run.arrive(HALF + 0.1, slope([1 - 1e-7, 1 - 1e-5, 1]))
    assert (run.best == HALF + 0.1).flatten(1).all(1).tolist() == [True, False, True]
    assert run.best_loss.tolist() == [1, 1, 1]


class Coin(nn.Module):
    """Right about every image in seven draws of ten, whatever the image."""

    def __init__(self) -> None:
        super().__init__()
        self.generator = seeded(0)

    def forward(self, images: Tensor) -> Tensor:
        right = torch.rand(len(images), generator=self.generator) < 0.7
        lead = torch.where(right, 1.0, -1.0) + 0 * images.flatten(1).sum(1)
        return torch.stack([lead, -lead], 1)


def test_a_model_that_draws_numbers_is_not_taken_for_fooled_by_one_bad_draw() -> None:
    images, labels = torch.full((200, 1, 2, 2), 0.5), torch.zeros(200, dtype=torch.int64)
    attacked = APGD(eot=20, steps=3)(Coin(), images, labels, ThreatModel(eps=0.1))
    # A mean of 20 draws is wrong about once in two hundred; of one draw, sixty times.
    untouched = (attacked == images).flatten(1).all(1).sum()
    assert untouched <= 10


class Counting(nn.Module):
    """Counts the gradients that are asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.gradients = nn.Sequential(nn.Flatten(), nn.Linear(4, 3)), 0

    def forward(self, images: Tensor) -> Tensor:
        self.gradients += images.requires_grad
        logits: Tensor = self.net(images)
        return logits


@pytest.mark.parametrize("draws", [1, 4])
def test_every_step_takes_the_mean_of_so_many_gradients(draws: int) -> None:
    model, images, labels = Counting(), torch.full((2, 1, 2, 2), 0.5), torch.tensor([0, 1])
    APGD(eot=draws, steps=3, stop=False)(model, images, labels, ThreatModel(eps=0.1))
    assert model.gradients == draws * (1 + 3)


def test_each_target_is_another_class_the_likeliest_first() -> None:
    logits, labels = torch.tensor([[4.0, 1, 3, 2], [1, 4, 2, 3]]), torch.tensor([0, 3])
    assert [aims.tolist() for aims in APGD(targets=9)._aims(logits, labels) if aims is not None] == [
        [2, 1],
        [3, 2],
        [1, 0],
    ]


def test_a_start_that_is_no_number_is_left_for_one_that_is() -> None:
    images = torch.full((1, 1, 2, 2), 0.45)
    slope = Slope(torch.tensor([torch.nan]), torch.zeros(1, 2), torch.ones_like(images))
    run = DenseRun.begin(images, images, slope, ThreatModel(eps=0.3), fresh=True)
    run.arrive(images + 0.2, Slope(torch.tensor([-1.0]), torch.zeros(1, 2), torch.ones_like(images)))
    assert run.best_loss.tolist() == [-1.0]
    assert torch.equal(run.best, images + 0.2)
