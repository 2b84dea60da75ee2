"""The networks against the figures of the papers that proposed them."""

from __future__ import annotations

import pytest
import torch
from model_specs import COLOUR, GREY, LARGE, spec

from robustcnn.core.spec import ImageSpec
from robustcnn.models import ModelConfig, describe
from robustcnn.models.alexnet import local_response_norm

PUBLISHED = {
    # LeCun 1998: 60,000 up to F6 (here with 84 * 10 + 10 for a linear output).
    ("lenet5", GREY): 60_850,
    ("smallcnn", GREY): 3_274_634,
    ("maxout", GREY): 784 * 1200 + 1200 + 240 * 1200 + 1200 + 240 * 10 + 10,
    ("logistic", GREY): 7_850,
    ("alexnet", LARGE): 60_965_224,
    ("alexnet", spec(3, 227, classes=1000)): 60_965_224,
    ("vgg11", LARGE): 132_863_336,
    ("vgg16", LARGE): 138_357_544,
    ("googlenet", LARGE): 6_998_552,
    ("resnet18", COLOUR): 11_173_962,
    ("preactresnet18", COLOUR): 11_172_170,
    ("wideresnet28-10", COLOUR): 36_479_194,
}


@pytest.mark.parametrize(("name", "pictures", "count"), [(*key, count) for key, count in PUBLISHED.items()])
def test_parameter_counts_are_the_published_ones(name: str, pictures: ImageSpec, count: int) -> None:
    assert describe(name, pictures).parameters == count


def test_batch_norm_adds_two_numbers_a_channel_and_makes_the_biases_idle() -> None:
    # Published for VGG-16 with batch normalisation: 138,365,992, which still counts the 4,224 biases.
    assert describe(ModelConfig(name="vgg16", batch_norm=True), LARGE).parameters == 138_365_992 - 4_224


@pytest.mark.parametrize(
    ("name", "pictures", "mflop"),
    [
        ("lenet5", GREY, 0.83),
        ("bncnn", GREY, 43.93),
        ("provablecnn", GREY, 12.25),
        ("resnet18", COLOUR, 1110.85),
        ("alexnet", LARGE, 1448.81),
        ("vgg16", LARGE, 30_940.53),
    ],
)
def test_forward_passes_cost_what_they_should(name: str, pictures: ImageSpec, mflop: float) -> None:
    assert describe(name, pictures).flops / 1e6 == pytest.approx(mflop, abs=0.005)


def test_local_response_norm_is_the_papers_formula() -> None:
    maps = torch.rand(2, 8, 3, 3) * 50
    expected = torch.empty_like(maps)
    for i in range(8):
        neighbours = maps[:, max(0, i - 2) : i + 3].square().sum(1)
        expected[:, i] = maps[:, i] / (2 + 1e-4 * neighbours) ** 0.75
    torch.testing.assert_close(local_response_norm()(maps), expected)


@pytest.mark.parametrize("size", [224, 227])
def test_alexnet_has_the_papers_maps(size: int) -> None:
    convolutions = [layer for layer in describe("alexnet", spec(3, size)).layers if layer.kind == "Conv2d"]
    sizes = [(96, 55, 55), (256, 27, 27), (384, 13, 13), (384, 13, 13), (256, 13, 13)]
    assert [layer.output for layer in convolutions] == sizes


def test_googlenet_has_the_papers_maps() -> None:
    # Channels of each module of table 1 are the inputs of what follows; the last row is 1,024.
    layers = describe("googlenet", LARGE).layers
    entries = [layer.input for layer in layers if layer.name.endswith(".one.0")]
    fourteen = [(channels, 14, 14) for channels in (480, 512, 512, 512, 528)]
    assert entries == [(192, 28, 28), (256, 28, 28), *fourteen, (832, 7, 7), (832, 7, 7)]
    assert layers[-2].input == (1024, 7, 7)
