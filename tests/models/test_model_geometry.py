"""Size formulas against what torch does."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from model_specs import COLOUR, GREY, LARGE, spec
from torch import nn

from robustcnn.core.conv_arithmetic import Window, output_size, padding_for, window_of
from robustcnn.core.spec import ImageSpec
from robustcnn.models import MODELS, describe
from robustcnn.models.sizes import flat_features

small = st.integers(1, 4)


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 20), small, small, st.integers(0, 4), small)
def test_output_size_is_that_of_a_convolution(size: int, kernel: int, stride: int, padding: int, dilation: int) -> None:
    assume(size + 2 * padding > dilation * (kernel - 1))
    result = F.conv1d(torch.zeros(1, 1, size), torch.zeros(1, 1, kernel), None, stride, padding, dilation)
    assert output_size(size, kernel, stride, padding, dilation) == result.shape[2]


@pytest.mark.parametrize("dilation", [1, 2, 3])
@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_paddings_give_the_sizes_that_they_promise(kernel: int, dilation: int) -> None:
    def size(name: str) -> int:
        return output_size(20, kernel, 1, padding_for(name, kernel, dilation), dilation)  # type: ignore[arg-type]

    reach = dilation * (kernel - 1)
    assert (size("valid"), size("same"), size("full")) == (20 - reach, 20, 20 + reach)


def test_same_padding_needs_a_middle() -> None:
    assert padding_for("same", 2, 2) == 1
    with pytest.raises(ValueError, match=r"same padding needs an even dilation .* got 3 \(take an odd kernel\)"):
        padding_for("same", 4)
    with pytest.raises(ValueError, match="unknown padding 'mirror'; known: valid, same, full"):
        padding_for("mirror", 3)  # type: ignore[arg-type]


def test_a_window_larger_than_its_image_is_refused() -> None:
    with pytest.raises(ValueError, match="a kernel of 5 with dilation 1 and padding 0 does not fit into 4 pixels"):
        output_size(4, 5)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("pictures", [GREY, COLOUR, LARGE, spec(3, 40, 65)], ids=lambda s: "x".join(map(str, s.shape)))
def test_every_layer_of_every_network_obeys_the_formula(name: str, pictures: ImageSpec) -> None:
    for layer in describe(name, pictures).layers:
        if layer.window is not None:
            (_, *size), (_, *result) = layer.input, layer.output
            assert layer.window.output((size[0], size[1])) == tuple(result), layer.name


def test_windows_are_read_off_layers() -> None:
    same = nn.Conv2d(1, 1, (3, 5), padding="same", dilation=2)
    assert window_of(same, (9, 9)) == Window((3, 5), (1, 1), (2, 4), (2, 2))
    assert window_of(nn.AvgPool2d(2), (9, 9)) == Window((2, 2), (2, 2))
    assert window_of(nn.AdaptiveAvgPool2d(1), (9, 7)) == Window((9, 7))
    assert window_of(nn.ReLU(), (9, 9)) is None


def test_flat_features_counts_without_running() -> None:
    layers = nn.Sequential(nn.Sequential(nn.Conv2d(3, 7, 3), nn.ReLU()), nn.MaxPool2d(3, 2))
    pictures = spec(3, 20, 31)
    assert flat_features(layers, pictures) == layers(torch.zeros(1, *pictures.shape)).numel()
