from __future__ import annotations

from itertools import pairwise
from typing import get_args

import pytest
import torch
from torch import nn

from robustcnn.train.optimisation.optim import OptimConfig, Optimizer, OptimizerName, Schedule


def quadratic() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(3, 2)


def descend(model: nn.Module, take: object, steps: int) -> None:
    for step in range(steps):
        loss = sum((index + 1) * parameter.square().sum() for index, parameter in enumerate(model.parameters()))
        loss.backward()
        take(step)  # type: ignore[operator]


@pytest.mark.parametrize("name", ["sgd", "nesterov", "adam", "adamw"])
def test_every_optimiser_takes_the_steps_of_its_torch_reference(name: OptimizerName) -> None:
    ours, theirs = quadratic(), quadratic()
    optimizer = Optimizer(ours, OptimConfig(name=name, lr=0.05, schedule="constant"), total_steps=6)
    reference: torch.optim.Optimizer = {
        "sgd": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9),
        "nesterov": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True),
        "adam": lambda p: torch.optim.Adam(p, lr=0.05),
        "adamw": lambda p: torch.optim.AdamW([{"params": p[:1]}, {"params": p[1:], "weight_decay": 0}], lr=0.05),
    }[name](list(theirs.parameters()))

    def torch_step(_: int) -> None:
        reference.step()
        reference.zero_grad()

    descend(ours, optimizer.step, 6)
    descend(theirs, torch_step, 6)
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, other)


def test_sgd_without_momentum_is_plain_gradient_descent() -> None:
    model = quadratic()
    before = model.weight.detach().clone()
    descend(
        model,
        Optimizer(model, OptimConfig(name="sgd", lr=0.1, momentum=0.0, schedule="constant"), total_steps=1).step,
        1,
    )
    torch.testing.assert_close(model.weight.detach(), before * (1 - 0.1 * 2))


@pytest.mark.parametrize(
    ("schedule", "start", "middle", "end"),
    [
        ("constant", 0.02, 0.02, 0.02),
        ("linear", 0.02, (0.02 + 0.0001) / 2, 0.0001),
        ("cosine", 0.02, (0.02 + 0.0001) / 2, 0.0001),
        ("steps", 0.02, 0.002, 0.0002),
    ],
)
def test_schedules_pass_through_their_known_points(schedule: Schedule, start: float, middle: float, end: float) -> None:
    config = OptimConfig(lr=0.02, lr_end=0.0001, schedule=schedule)
    assert [config.lr_at(progress) for progress in (0.0, 0.5, 1.0)] == pytest.approx([start, middle, end])


def test_one_cycle_rises_for_three_tenths_and_ends_at_zero() -> None:
    config = OptimConfig(lr=0.1, schedule="one-cycle", momentum=0.95)
    rates = [config.lr_at(step / 100) for step in range(101)]
    assert rates.index(max(rates)) == 30
    assert max(rates) == pytest.approx(0.1)
    assert rates[0] == pytest.approx(0.004)
    assert rates[-1] == pytest.approx(0.0, abs=1e-12)
    assert config.momentum_at(0.3) == pytest.approx(0.855)
    assert config.momentum_at(1.0) == pytest.approx(0.95)


@pytest.mark.parametrize("schedule", get_args(Schedule))
@pytest.mark.parametrize("warmup", [0.1, 0.3, 0.6])
def test_a_warm_up_rises_to_the_full_rate_and_no_schedule_jumps_after_it(schedule: Schedule, warmup: float) -> None:
    config = OptimConfig(lr=0.1, schedule=schedule, warmup=warmup, milestones=(0.9,))
    rates = [config.lr_at(step / 1000) for step in range(900)]
    assert rates[0] == 0
    assert max(rates) == rates[round(1000 * warmup)] == pytest.approx(0.1)
    assert max(abs(after - before) for before, after in pairwise(rates)) < 0.002


def test_the_face_keypoint_recipe_moves_rate_and_momentum_linearly() -> None:
    model = quadratic()
    config = OptimConfig(lr=0.02, lr_end=0.0001, schedule="linear", momentum=0.9, momentum_end=0.999)
    optimizer = Optimizer(model, config, total_steps=3)
    rates, momenta = [], []

    def step(number: int) -> None:
        rates.append(optimizer.step(number))
        momenta.append(optimizer.torch.param_groups[0]["momentum"])

    descend(model, step, 3)
    assert rates == pytest.approx([0.02, 0.01005, 0.0001])
    assert momenta == pytest.approx([0.9, 0.9495, 0.999])


def test_warmup_rises_linearly_from_nothing() -> None:
    config = OptimConfig(lr=0.1, warmup=0.2, schedule="cosine")
    assert [config.lr_at(progress) for progress in (0.0, 0.1, 0.2)] == pytest.approx([0.0, 0.05, 0.1])


def test_decay_spares_biases() -> None:
    model = nn.Linear(3, 2)
    weight, bias = model.weight.detach().clone(), model.bias.detach().clone()
    optimizer = Optimizer(model, OptimConfig(name="sgd", lr=0.5, weight_decay=0.1, schedule="constant"), total_steps=1)
    (0.0 * sum(parameter.sum() for parameter in model.parameters())).backward()
    optimizer.step(0)
    torch.testing.assert_close(model.weight.detach(), weight * (1 - 0.5 * 0.1))
    torch.testing.assert_close(model.bias.detach(), bias)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"name": "adan"}, "unknown optimizer 'adan' .did you mean 'adam'"),
        ({"schedule": "cosin"}, "unknown schedule 'cosin' .did you mean 'cosine'"),
        ({"lr": 0.0}, "lr must be a positive number, got 0"),
        ({"lr": float("nan")}, "lr must be a positive number, got nan"),
        ({"lr_end": -1.0}, "lr_end must not be negative"),
        ({"momentum": 1.0}, r"momentum must lie in \[0, 1\), got 1"),
        ({"name": "nesterov", "momentum": 0.0}, "choose sgd"),
        ({"warmup": 1.0}, r"share of the training in \[0, 1\)"),
        ({"milestones": (5.0,)}, "milestones are shares"),
        ({"weight_decay": -0.1}, "weight_decay must not be negative"),
    ],
)
def test_a_bad_option_is_named(options: dict[str, object], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        OptimConfig(**options)  # type: ignore[arg-type]
