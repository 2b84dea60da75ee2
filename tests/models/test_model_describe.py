"""Descriptions: counts, receptive fields and the table."""

from __future__ import annotations

import pytest
import torch
from model_specs import COLOUR, GREY, narrow, spec
from torch import nn

from robustcnn.core.runtime import evaluating
from robustcnn.models import MODELS, build, describe
from robustcnn.models.describe import TITLES
from robustcnn.models.googlenet import Branches, Inception
from robustcnn.models.resnet import BasicBlock


def extent(net: nn.Module, size: int) -> tuple[int, int]:
    """(height, width) of the part of an image that the middle output depends on, by its gradient."""
    for weights in net.parameters():
        nn.init.ones_(weights)  # positive everywhere: no two paths cancel and no relu closes
    images = torch.ones(1, 3, size, size, requires_grad=True)
    with evaluating(net):
        maps = net(images)
    middle = maps.shape[2] // 2
    (gradient,) = torch.autograd.grad(maps[0, :, middle, middle].sum(), images)
    rows, columns = gradient[0, 0].nonzero(as_tuple=True)
    return (int(rows.max() - rows.min()) + 1, int(columns.max() - columns.min()) + 1)


CHAIN = nn.Sequential(
    nn.Conv2d(3, 2, 3, padding=1),
    nn.AvgPool2d(3, 2),
    nn.Conv2d(2, 2, (3, 5), dilation=2),
    nn.ReLU(),
    nn.Conv2d(2, 1, 3),
)
INCEPTION = nn.Sequential(
    nn.Conv2d(3, 4, 3, stride=2, padding=1),
    Inception(4, Branches(1, 1, 1, 1, 1, 1), batch_norm=False, activation="relu", pool="avg"),
    nn.Conv2d(4, 1, 3),
)
RESIDUAL = nn.Sequential(
    BasicBlock(3, 4, stride=2, activation="relu"), BasicBlock(4, 4, stride=1, activation="relu"), nn.Conv2d(4, 1, 3)
)


@pytest.mark.parametrize(
    ("net", "field"),
    [(CHAIN, (17, 25)), (INCEPTION, (15, 15)), (RESIDUAL, (19, 19))],
    ids=["chain", "inception", "residual"],
)
def test_receptive_fields_are_the_support_of_the_gradient(net: nn.Module, field: tuple[int, int]) -> None:
    assert describe(net, spec(3, 64)).layers[-1].field == extent(net, 64) == field


def test_a_global_average_sees_at_least_the_whole_image() -> None:
    assert min(describe("resnet18", COLOUR).layers[-1].field) >= 32
    assert describe("logistic", spec(1, 20, 30)).layers[-1].field == (20, 30)


@pytest.mark.parametrize("name", [name for name in MODELS if name != "lenet5"])
def test_layers_hold_all_parameters(name: str) -> None:
    with torch.device("meta"):
        model = build(narrow(name), GREY)
    assert describe(model).parameters == sum(weights.numel() for weights in model.parameters())


def test_describing_a_name_draws_no_random_numbers() -> None:
    before = torch.get_rng_state()
    describe("lenet5", GREY)
    assert torch.equal(torch.get_rng_state(), before)


def test_describing_a_model_leaves_it_as_it_was() -> None:
    model = build("bncnn", GREY, width=0.25).train()
    model.net[0].eval()
    modes = [module.training for module in model.modules()]
    state = {name: value.clone() for name, value in model.state_dict().items()}
    described = describe(model)
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())
    assert described == describe(model.config, GREY)


def test_a_layer_that_runs_twice_has_its_weights_once() -> None:
    layer = nn.Conv2d(3, 3, 3, padding=1)
    described = describe(nn.Sequential(layer, nn.ReLU(), layer), spec(3, 8))
    assert described.parameters == 84
    assert described.multiply_adds == 2 * 64 * 81


def test_the_table_is_aligned_and_ends_with_the_totals() -> None:
    described = describe("lenet5", GREY)
    head, *rows, total = described.table().splitlines()
    assert head.split() == list(TITLES)
    assert len({len(line) for line in (head, *rows, total)}) == 1
    assert rows[3].split() == ["C3.0", "MaskedConv2d", "5", "1", "0", "1", "16x10x10", "14", "1,516", "240,000"]
    assert total.split() == ["total", "60,850", "416,520"]
    assert str(described).startswith("lenet5: 60,850 parameters, 0.83 MFLOP\nlayer")


def test_a_foreign_module_needs_a_spec() -> None:
    with pytest.raises(ValueError, match="describe needs a spec"):
        describe(nn.Flatten())
    assert describe(nn.Flatten(), GREY).layers == ()
