"""The formulas of TRADES and MART, free training's standing attack, and weights at their worst."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from fitting import QUICK, bars, fresh, parts, same, weights
from torch import Tensor, nn

from robustcnn import fit
from robustcnn.core.runtime import seeded
from robustcnn.core.threat import ThreatModel
from robustcnn.train import Free, Mart, Trades
from robustcnn.train.objectives.robust import Batch
from robustcnn.train.objectives.standard import Stage, begin
from robustcnn.train.optimisation.awp import perturbed_weights

THREAT = ThreatModel(norm="linf", eps=0.1)


def answers() -> Batch:
    """A batch whose pictures are logits already: the model is then the identity."""
    clean, attacked = torch.randn(2, 6, 4, generator=seeded(0)).unbind()
    return Batch(clean, attacked, torch.arange(6) % 4, THREAT, seeded(0))


def test_trades_is_its_formula() -> None:
    batch = answers()
    p, q = batch.images.softmax(1), batch.adversarial.softmax(1)
    expected = -p[torch.arange(6), batch.labels].log() + 3 * (p * (p / q).log()).sum(1)
    torch.testing.assert_close(Trades(beta=3.0).loss(nn.Identity(), batch), expected)


def test_mart_is_its_formula() -> None:
    batch = answers()
    p, q, rows = batch.images.softmax(1), batch.adversarial.softmax(1), torch.arange(6)
    others = q.clone()
    others[rows, batch.labels] = 0
    boosted = -q[rows, batch.labels].log() - (1 - others.amax(1)).log()
    expected = boosted + 3 * (p * (p / q).log()).sum(1) * (1 - p[rows, batch.labels])
    torch.testing.assert_close(Mart(beta=3.0).loss(nn.Identity(), batch), expected)


def test_mart_stays_finite_where_a_wrong_answer_is_certain() -> None:
    batch = answers()._replace(adversarial=torch.tensor([[0.0, 200.0, 0.0, 0.0]]).expand(6, 4))
    assert Mart().loss(nn.Identity(), batch).isfinite().all()


def test_trades_attacks_the_answer_and_not_the_label() -> None:
    model, labels = fresh(bars(), "logistic"), torch.zeros(8, dtype=torch.int64)
    images = 0.3 + 0.4 * torch.rand(8, 1, 12, 12, generator=seeded(1))
    objective = Trades(threat=THREAT, steps=5)
    found = [objective.craft(model, images, each, THREAT, seeded(0)) for each in (labels, 1 - labels)]
    assert torch.equal(*found)
    slope = model.net[-1].weight.diff(dim=0).sign().view(1, 1, 12, 12)
    # Along a line the divergence grows either way: every picture ends at one of the two ends.
    ends = torch.stack([images + 0.1 * slope, images - 0.1 * slope])
    assert (found[0] - ends).flatten(2).abs().amax(2).amin(0).max() < 1e-6


def seen_by(model: nn.Module) -> list[Tensor]:
    seen: list[Tensor] = []
    model.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach().clone()))
    return seen


def test_the_free_attack_is_carried_on_to_the_next_batch() -> None:
    model, labels = fresh(bars(), "logistic"), torch.zeros(8, dtype=torch.int64)
    first, second, third = (0.3 + 0.4 * torch.rand(3, 8, 1, 12, 12, generator=seeded(1))).unbind()
    scorer = begin(Free(threat=THREAT, replays=1), Stage(model, first, "fp32"))
    seen = seen_by(model)
    # Towards class 1, the same way for every picture of a linear model.
    climb = 0.1 * model.net[-1].weight.detach().diff(dim=0).sign().view(1, 1, 12, 12)
    for images in (first, second[:3], third):
        scorer(images, labels[: len(images)], seeded(0), progress=1.0)(model).mean().backward()
    torch.testing.assert_close(seen[0], first)
    torch.testing.assert_close(seen[1], second[:3] + climb)
    torch.testing.assert_close(seen[2], third + climb)


def test_free_training_steps_on_every_batch_as_often_as_it_says() -> None:
    train, validation = parts()
    model = fresh(train, "logistic")
    seen = seen_by(model)
    objective = Free(threat=THREAT, replays=3)
    list(fit(model, train, validation, replace(QUICK, epochs=1, objective=objective, watch=0)))
    assert len(seen) == 3 * 6 + 1
    distance = [(one - other).abs().amax().item() for one, other in pairwise(seen[:3])]
    assert all(0.09 < each <= 0.2001 for each in distance)


def mean_loss(model: nn.Module) -> Tensor:
    images, labels = torch.rand(16, 1, 12, 12, generator=seeded(2)), torch.arange(16) % 2
    return F.cross_entropy(model(images), labels)


def test_the_gradient_is_taken_at_the_worst_weights_of_a_linear_model() -> None:
    model, twin = fresh(bars(), "logistic"), fresh(bars(), "logistic")
    before = weights(model)
    with perturbed_weights(model, lambda weights: torch.autograd.grad(mean_loss(model), weights), gamma=0.1):
        mean_loss(model).backward()
    assert same(before, weights(model))
    # By hand: up the slope by a tenth of the weight's own length; the bias stays.
    weight = twin.net[-1].weight
    (slope,) = torch.autograd.grad(mean_loss(twin), weight)
    with torch.no_grad():
        weight += 0.1 * weight.norm() * slope / slope.norm()
    mean_loss(twin).backward()
    for mine, theirs in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad)


def test_perturbed_weights_come_back_after_an_error_and_statistics_were_never_moved() -> None:
    model = fresh(bars(), "bncnn", width=0.2).train()
    before = weights(model)

    def fail() -> None:
        with perturbed_weights(model, lambda weights: torch.autograd.grad(mean_loss(model), weights), gamma=0.1):
            moved = weights(model)
            raise RuntimeError(str([name for name in before if not torch.equal(before[name], moved[name])]))

    with pytest.raises(RuntimeError, match=r"^\['net.0.0.weight', 'net.1.0.weight'.*'net.7.weight'\]$"):
        fail()
    assert same(before, weights(model))
