"""A view that follows answers as a view made anew would."""

from __future__ import annotations

import pytest
import torch
from test_view import pictures, relative, settled, slope
from torch import nn

from robustcnn.core.runtime import Precision, seeded
from robustcnn.fast.live_view import LiveView, LiveViews
from robustcnn.fast.view import FastView, fast_view
from robustcnn.models import MODELS


@torch.no_grad()
def move(model: nn.Module) -> None:
    """Every weight and every statistic, in place as a training does it."""
    generator = seeded(3)
    for tensor in (*model.net.parameters(), *model.net.buffers()):  # type: ignore[operator, union-attr]
        if tensor.is_floating_point() and not ((tensor == 0) | (tensor == 1)).all():
            tensor.mul_(1 + 0.5 * torch.rand(tensor.shape, generator=generator))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", [name for name in MODELS if MODELS[name].smallest <= 32 and "28-10" not in name])
def test_a_view_follows_every_tensor_of_every_network(name: str, precision: Precision) -> None:
    options = {"width": 0.15} if name not in ("logistic", "lenet5") else {}
    model, images = settled(name, channels=3, size=32, **options), pictures(channels=3, size=32)
    live_view = LiveView(model, images, precision=precision)
    assert live_view.is_fast
    before = live_view.view()(images)
    move(model)
    after, fresh = live_view.view(), fast_view(model, images, precision=precision)
    assert isinstance(after, FastView)
    assert relative(before, fresh(images)) > 0.02
    assert relative(after(images), fresh(images)) < 1e-6
    assert relative(slope(after, images), slope(fresh, images)) < 1e-5


def test_the_model_itself_is_not_touched_and_lends_what_needs_no_change() -> None:
    model = settled("bncnn", width=0.2)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    live_view = LiveView(model.train(), pictures())
    view = live_view.view()
    assert isinstance(view, FastView)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert not any(parameter.requires_grad for parameter in view.parameters())
    assert model.training
    assert not view.search.training
    assert view.search.get_parameter("net.7.weight").data_ptr() == model.get_parameter("net.7.weight").data_ptr()


def test_a_model_without_a_fast_view_is_followed_by_being_it() -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(784, 4)
            self.calls = 0

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            self.calls += 1
            return self.layer(images.flatten(1)) * (1 + self.calls % 2)

    model = Odd()
    with pytest.warns(UserWarning, match="attacking the plain model"):
        live_view = LiveView(model, pictures())
    assert not live_view.is_fast
    assert live_view.view() is model


def test_a_compiled_view_is_kept_from_epoch_to_epoch_as_long_as_it_follows() -> None:
    model, images = settled("bncnn", width=0.2), pictures()
    views = LiveViews(compiled=True)
    first = views(model, images, "fp32")
    move(model)
    assert views(model, images, "fp32") is first
    kept = first.view()
    assert isinstance(kept, FastView)
    assert relative(kept.search(images), fast_view(model, images)(images)) < 1e-5
    # Weights that lie elsewhere are not seen by what shared the old ones.
    weight = model.get_parameter("net.7.weight")
    weight.data = weight.data.clone()
    assert views(model, images, "fp32") is not first


def test_a_view_that_no_longer_is_the_model_is_made_anew() -> None:
    model, images = settled("bncnn", width=0.2), pictures()
    views = LiveViews(compiled=True)
    first = views(model, images, "fp32")
    view = first.view()
    assert isinstance(view, FastView)
    model.net.append(nn.Softmax(1))  # type: ignore[operator, union-attr]
    assert views(model, images, "fp32") is not first


def test_without_a_compiler_every_epoch_has_a_view_of_its_own() -> None:
    model, images = settled("bncnn", width=0.2), pictures()
    views = LiveViews()
    assert views(model, images, "fp32") is not views(model, images, "fp32")
