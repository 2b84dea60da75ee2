"""LeNet-5 against the numbers of LeCun et al. 1998."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
import torch.nn.functional as F
from model_specs import GREY, spec

from robustcnn.core.runtime import global_seed
from robustcnn.models import build, describe
from robustcnn.models.layers import ScaledTanh
from robustcnn.models.lenet import TABLE_I, MaskedConv2d, RbfOutput


@pytest.mark.parametrize("size", [28, 32])
def test_every_layer_has_the_papers_number_of_parameters(size: int) -> None:
    papers = {"C1": 156, "S2": 12, "C3": 1516, "S4": 32, "C5": 48_120, "F6": 10_164}
    counts: Counter[str] = Counter()
    for layer in describe("lenet5", spec(1, size)).layers:
        counts[layer.name.split(".")[0]] += layer.parameters
    assert counts == papers | {"output": 850}
    assert sum(papers.values()) == 60_000


def test_map_sizes_are_the_papers() -> None:
    sizes = {row.name.split(".")[0]: row.output for row in describe("lenet5", GREY).layers}
    assert sizes == {
        "C1": (6, 28, 28),
        "S2": (6, 14, 14),
        "C3": (16, 10, 10),
        "S4": (16, 5, 5),
        "C5": (120, 1, 1),
        "F6": (84,),
        "output": (10,),
    }


def test_the_connection_table_is_the_papers() -> None:
    # Table I: six maps see 3, nine see 4, one sees all 6; each map of S2 is seen by ten.
    assert sorted(map(len, TABLE_I)) == [3] * 6 + [4] * 9 + [6]
    assert [sum(source in sources for sources in TABLE_I) for source in range(6)] == [10] * 6


def test_the_masked_convolution_equals_one_small_convolution_a_map() -> None:
    layer = MaskedConv2d(6, TABLE_I, 5, bias=True)
    maps = torch.rand(2, 6, 14, 14)
    for index, sources in enumerate(TABLE_I):
        alone = F.conv2d(maps[:, sources], layer.weight[index : index + 1, sources], layer.bias[index : index + 1])
        torch.testing.assert_close(layer(maps)[:, index : index + 1], alone)


def test_unconnected_weights_are_zero_and_stay_zero() -> None:
    with global_seed(0):
        model = build("lenet5", GREY)
        layer = next(module for module in model.modules() if isinstance(module, MaskedConv2d))
        before = layer.weight.detach().clone()
        optimiser = torch.optim.Adam(model.parameters(), weight_decay=0.1)
        F.cross_entropy(model(torch.rand(8, *GREY.shape)), torch.arange(8)).backward()
        optimiser.step()
    outside = (layer.mask == 0).expand_as(layer.weight)
    assert int(outside.sum()) == layer.unconnected == 900
    assert not before[outside].any()
    assert not layer.weight[outside].any()
    assert (layer.weight != before)[~outside].all()


def test_the_scaled_tanh_keeps_plus_and_minus_one() -> None:
    torch.testing.assert_close(
        ScaledTanh()(torch.tensor([-1.0, 0.0, 1.0])), torch.tensor([-1.0, 0.0, 1.0]), atol=1e-4, rtol=0
    )


def test_rbf_scores_are_minus_the_squared_distances_to_sign_codes() -> None:
    output = RbfOutput(84, 10)
    features = torch.randn(5, 84)
    assert output.codes.abs().eq(1).all()
    torch.testing.assert_close(output(features), -torch.cdist(features, output.codes).square(), rtol=1e-4, atol=1e-3)
    model = build("lenet5", GREY, rbf_output=True)
    assert model(torch.rand(2, *GREY.shape)).le(0).all()
    assert describe(model).parameters == 60_000


def test_rbf_output_and_a_single_logit_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="rbf_output needs one code a class and single_logit has one output"):
        build("lenet5", spec(1, 28, classes=2), rbf_output=True, single_logit=True)
