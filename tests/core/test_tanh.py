"""The tangent by way of the sigmoid is the tangent, and so is its slope."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from robustcnn.core.runtime import seeded
from robustcnn.core.tanh import TanhBySigmoid
from robustcnn.fast.view import FastView, fast_view


@pytest.mark.parametrize(("outer", "inner"), [(1.0, 1.0), (1.7159, 2 / 3), (-0.5, 3.0)])
def test_values_and_slopes_are_the_tangents(outer: float, inner: float) -> None:
    values = torch.linspace(-30, 30, 601, dtype=torch.float64).requires_grad_()
    expected, found = outer * torch.tanh(inner * values), TanhBySigmoid(outer, inner)(values)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-14)
    weight = torch.rand(values.shape, generator=seeded(0), dtype=torch.float64)
    slopes = [torch.autograd.grad((result * weight).sum(), values)[0] for result in (found, expected)]
    torch.testing.assert_close(*slopes, rtol=0, atol=1e-13)


def test_a_view_takes_it_for_tangents_that_do_nothing_else() -> None:
    layers = [nn.Conv2d(3, 4, 3), nn.Tanh(), nn.Conv2d(4, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(64, 3)]
    model, images = nn.Sequential(*layers).eval(), torch.rand(4, 3, 8, 8, generator=seeded(1))
    model[3].register_forward_hook(lambda *told: 2 * told[-1])
    view = fast_view(model, images)
    assert isinstance(view, FastView)
    assert [type(each) for each in view.search][1:4:2] == [TanhBySigmoid, nn.Tanh]
    torch.testing.assert_close(view(images), model(images))
