"""Objectives on attacked pictures, against closed forms on linear models and against each other."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from fitting import QUICK, bars, fresh, parts, same, weights
from torch import Tensor, nn

from robustcnn import FitConfig, OptimConfig, fit
from robustcnn.core.norms import NormName
from robustcnn.core.runtime import seeded
from robustcnn.core.threat import ThreatModel
from robustcnn.models import PixelModel
from robustcnn.train import OBJECTIVES, Adversarial, Fast, Free, Mart, Mixture, Standard, Trades
from robustcnn.train.objectives.adversarial import misalignment
from robustcnn.train.objectives.robust import Batch
from robustcnn.train.objectives.standard import Loss, Stage, begin

THREAT = ThreatModel(norm="linf", eps=0.1)
ROBUST = [
    Adversarial(threat=THREAT, steps=3),
    Mixture(threat=THREAT),
    Mixture(threat=THREAT, noise=2.0),
    Fast(threat=THREAT),
    Fast(threat=THREAT, noise=2.0),
    Fast(threat=THREAT, grad_align=0.2),
    Free(threat=THREAT, replays=2),
    Trades(threat=THREAT, steps=3, warmup=0.5),
    Mart(threat=THREAT, steps=3, label_smoothing=0.1, warmup=0.5),
    Adversarial(threat=ThreatModel(norm="l2", eps=0.5), steps=3),
]


def pictures(count: int = 32) -> tuple[Tensor, Tensor]:
    """Far enough from black and white for no ball to be cut."""
    return 0.3 + 0.4 * torch.rand(count, 1, 12, 12, generator=seeded(1)), torch.arange(count) % 2


def scored(objective: object, model: nn.Module, images: Tensor, labels: Tensor, *, progress: float = 1.0) -> Loss:
    scorer = begin(objective, Stage(model, images[:4], "fp32"))
    return scorer(images, labels, seeded(5), progress=progress)


def lead(model: nn.Module, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """By how much the true one of two logits leads, and what that loses for each pixel."""
    leaf = images.clone().requires_grad_()
    ahead = model(leaf).gather(1, labels[:, None]) - model(leaf).gather(1, 1 - labels[:, None])
    (slope,) = torch.autograd.grad(ahead.sum(), leaf)
    return ahead.squeeze(1).detach(), -slope


@pytest.mark.parametrize(("norm", "dual"), [("linf", 1), ("l2", 2)])
@pytest.mark.parametrize("kind", ["adversarial", "mixture", "fast"])
def test_the_loss_is_the_known_worst_case_of_a_linear_model(kind: str, norm: NormName, dual: int) -> None:
    threat = ThreatModel(norm=norm, eps=0.02)
    objective = {
        "adversarial": Adversarial(threat=threat, steps=4, step_size=0.02),
        "mixture": Mixture(threat=threat, alpha=0.25),
        # Two eps lead from any start to the end of the ball.
        "fast": Fast(threat=threat, step=2.0 if norm == "linf" else 1000.0),
    }[kind]
    model, (images, labels) = fresh(bars(), "logistic"), pictures()
    ahead, slope = lead(model, images, labels)
    clean, worst = F.softplus(-ahead), F.softplus(0.02 * slope.flatten(1).norm(p=dual, dim=1) - ahead)
    expected = 0.25 * clean + 0.75 * worst if kind == "mixture" else worst
    given = scored(objective, model, images, labels)(model)
    torch.testing.assert_close(given, expected, rtol=1e-3 if norm == "l2" else 1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "objective",
    [
        Adversarial(threat=replace(THREAT, eps=0.0)),
        Free(threat=replace(THREAT, eps=0.0), replays=1),
        Trades(threat=THREAT, beta=0.0, steps=2),
        Mixture(threat=THREAT, alpha=1.0),
    ],
    ids=lambda objective: objective.name,
)
def test_without_its_adversary_an_objective_is_the_standard_one(objective: Any) -> None:
    train, validation = parts()
    models = [fresh(train) for _ in range(2)]
    for model, each in zip(models, (Standard(), objective), strict=True):
        list(fit(model, train, validation, replace(QUICK, epochs=2, objective=each, watch=0)))
    assert same(*map(weights, models))


@pytest.mark.parametrize("objective", ROBUST, ids=lambda objective: objective.name)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_every_objective_learns_to_stand(objective: Any, precision: Any) -> None:
    train, validation = parts()
    assert standard_stands() < 0.6
    config = replace(QUICK, epochs=6, objective=objective, optim=OptimConfig(name="adam", lr=0.005))
    history = list(fit(fresh(train), train, validation, config, precision=precision))
    best = max(metrics.robust_accuracy or 0.0 for metrics in history)
    assert best > 0.85
    assert history[-1].fgsm_accuracy is not None


def standard_stands() -> float:
    """How much of the bars plain training holds under the same watch."""
    train, validation = parts()
    config = replace(QUICK, epochs=4, objective=Watched())
    return max(metrics.robust_accuracy or 0.0 for metrics in fit(fresh(train), train, validation, config))


class Watched:
    """Plain training, with a threat to be watched under."""

    threat = THREAT
    __call__ = Standard.__call__
    label_smoothing = mixup = 0.0


@pytest.mark.parametrize("fast", [True, False])
def test_crafting_leaves_statistics_gradients_and_modes_alone(monkeypatch: pytest.MonkeyPatch, fast: bool) -> None:
    if not fast:
        monkeypatch.setattr("robustcnn.fast.live_view.fast_view", lambda model, *_, **__: model)
    model, (images, labels) = fresh(bars(), "bncnn", width=0.2).train(), pictures()
    model.net[1].eval()
    before, modes = weights(model), [module.training for module in model.modules()]
    loss = scored(Adversarial(threat=THREAT, steps=2), model, images, labels)
    assert same(before, weights(model))
    assert [module.training for module in model.modules()] == modes
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())
    seen: list[Tensor] = []
    model.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    loss(model)
    assert len(seen) == 1
    assert (seen[0] - images).abs().amax().item() == pytest.approx(0.1, abs=1e-6)
    # The statistics have seen the attacked batch once, and nothing else.
    twin = fresh(bars(), "bncnn", width=0.2).train()
    twin.net[1].eval()
    twin(seen[0])
    assert same(weights(twin), weights(model))


def test_the_attack_is_that_of_the_weights_as_they_are_now() -> None:
    model, (images, labels) = fresh(bars(), "logistic"), pictures()
    scorer = begin(Adversarial(threat=THREAT, steps=1, step_size=1.0), Stage(model, images[:4], "fp32"))
    for _ in range(2):
        with torch.no_grad():
            model.net[-1].weight.neg_()
        ahead, slope = lead(model, images, labels)
        worst = F.softplus(0.1 * slope.flatten(1).abs().sum(1) - ahead)
        torch.testing.assert_close(scorer(images, labels, seeded(0), progress=1.0)(model), worst)


@pytest.mark.parametrize("kind", [Fast, Mixture])
def test_noise_is_not_clipped_to_the_ball_but_to_the_pixels_range(kind: type[Fast | Mixture]) -> None:
    model, (images, labels) = fresh(bars(), "logistic"), pictures()
    _, slope = lead(model, images, labels)
    objective = kind(threat=replace(THREAT, eps=0.05)).cured()
    change = objective.craft(model, images, labels, objective.threat, seeded(0)) - images
    noise = change - 0.05 * slope.sign()
    assert noise.abs().amax().item() == pytest.approx(0.1, abs=1e-3)
    assert noise.std().item() == pytest.approx(0.1 / 3**0.5, rel=0.05)
    attacked = replace(objective, noise=20.0).craft(model, images, labels, objective.threat, seeded(0))
    assert attacked.aminmax() == (0, 1)


def batch_of(model: PixelModel, threat: ThreatModel = THREAT) -> Batch:
    images, labels = pictures()
    return Batch(images, images, labels, threat, seeded(0))


def test_grad_align_finds_nothing_to_straighten_in_a_linear_model_and_something_in_a_network() -> None:
    linear = fresh(bars(), "logistic")
    torch.testing.assert_close(misalignment(linear, batch_of(linear)), torch.zeros(32), atol=1e-5, rtol=0)
    network = fresh(bars(), "bncnn", width=0.2).train()
    before = weights(network)
    bent = misalignment(network, batch_of(network))
    assert bent.min() > 0.01
    bent.sum().backward()
    assert network.get_parameter("net.0.0.weight").grad.abs().sum() > 0
    assert same(before, weights(network))
    assert network.training


def test_eps_and_step_size_grow_linearly_over_the_warm_up() -> None:
    objective = Adversarial(threat=THREAT, steps=4, step_size=0.02, warmup=0.5)
    threats = [objective.threat_at(progress) for progress in (0.0, 0.25, 0.5, 1.0)]
    assert [threat.eps for threat in threats] == pytest.approx([0.0, 0.05, 0.1, 0.1])
    assert [objective.pgd(threat).step_size for threat in threats] == pytest.approx([0.0, 0.01, 0.02, 0.02])


def test_training_moves_through_the_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    train, validation = parts()
    seen: list[float] = []
    whole = Mixture.craft
    monkeypatch.setattr(Mixture, "craft", lambda *args: [seen.append(args[4].eps), whole(*args)][1])
    objective = Mixture(threat=THREAT, warmup=0.5)
    list(fit(fresh(train), train, validation, replace(QUICK, epochs=4, objective=objective, watch=0)))
    # 24 steps, the first of which has nothing to craft.
    assert seen == pytest.approx([0.1 * min(step / 12, 1) for step in range(1, 24)])


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_smooths_its_labels_or_says_why_not(name: str) -> None:
    with pytest.raises(ValueError, match=r"label_smoothing must lie in \[0, 1\), got 1"):
        OBJECTIVES[name](label_smoothing=1.0)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Adversarial(steps=0), "steps must be at least 1, got 0"),
        (lambda: Adversarial(step_size=-0.1), "step_size must not be negative"),
        (lambda: Adversarial(warmup=2.0), r"warmup is the share of the training in \[0, 1\] .* got 2"),
        (lambda: Adversarial(threat=ThreatModel(bounds=(0, 255))), r"threat.bounds must be \(0, 1\)"),
        (lambda: Trades(threat=ThreatModel(norm="l2", eps=float("inf"))), "threat.eps must be finite"),
        (lambda: Mixture(alpha=1.5), r"alpha is the share of the clean loss .* got 1.5"),
        (lambda: Fast(noise=-1.0), "noise must not be negative, got -1"),
        (lambda: Free(replays=0), "replays must be at least 1, got 0"),
        (lambda: Trades(beta=-1.0), "beta must not be negative, got -1"),
        (lambda: Mart(beta=-1.0), "beta must not be negative, got -1"),
        (lambda: FitConfig(awp=1.0), r"awp must lie in \[0, 1\), got 1"),
        (lambda: FitConfig(watch=-1), "watch must not be negative"),
        (lambda: FitConfig(monitor="robust_accuracy"), "needs an adversarial objective and watch above 0"),
        (lambda: FitConfig(on_overfitting="wrn"), "unknown on_overfitting 'wrn' .did you mean 'warn'"),
        (
            lambda: FitConfig(objective=Fast(), monitor="valid_loss", on_overfitting="rollback"),
            "monitor must be robust_accuracy, got 'valid_loss'",
        ),
    ],
)
def test_a_bad_option_is_named(make: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        make()


@pytest.mark.parametrize("objective", [Standard(mixup=0.4), Fast(threat=THREAT, grad_align=0.2)])
def test_asked_again_a_batchs_loss_draws_the_same_numbers(objective: object) -> None:
    """As weight perturbation asks: once for the slope to climb, once for the one to descend."""
    train, _ = parts()[:2]
    model = fresh(train, "logistic")
    loss = scored(objective, model, *next(train.batches(16)))
    first, again = (loss(model).detach() for _ in range(2))
    assert torch.equal(first, again)
