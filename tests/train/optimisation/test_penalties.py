from __future__ import annotations

import pytest
import torch
from torch import nn

from robustcnn.models.lenet import MapScale
from robustcnn.train.optimisation.optim import weights_of
from robustcnn.train.optimisation.penalties import Penalties


def small() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(12, 2))


def test_the_value_is_the_lectured_formula_over_weights_alone() -> None:
    model = small()
    conv, head = model[0].weight, model[3].weight
    m = 50
    expected = 0.3 / m * (conv.abs().sum() + head.abs().sum()) + 0.7 / m * (conv.square().sum() + head.square().sum())
    torch.testing.assert_close(Penalties.of(l1=0.3, l2=0.7, examples=m).value(model), expected)


@pytest.mark.parametrize(("l1", "l2"), [(0.3, 0.0), (0.0, 0.7), (0.3, 0.7)])
def test_the_gradients_are_the_derivative_of_the_value(l1: float, l2: float) -> None:
    penalties = Penalties.of(l1=l1, l2=l2, examples=50)
    derived, added = small(), small()
    penalties.value(derived).backward()
    for parameter in added.parameters():
        parameter.grad = torch.zeros_like(parameter)
    penalties.add_gradients(added)
    for mine, theirs in zip(added.parameters(), derived.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, torch.zeros_like(mine) if theirs.grad is None else theirs.grad)


def test_no_penalty_leaves_the_gradients_alone() -> None:
    model = small()
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    Penalties.of(l1=0.0, l2=0.0, examples=1).add_gradients(model)
    assert all(torch.equal(parameter.grad, torch.ones_like(parameter)) for parameter in model.parameters())


def test_the_scales_of_lenets_maps_are_no_weights() -> None:
    model = nn.Sequential(MapScale(4), nn.Conv2d(4, 2, 1))
    assert [tuple(weight.shape) for weight in weights_of(model)] == [(2, 4, 1, 1)]
