"""The wrapper: pixel units outside, normalisation inside, and honest gradients."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from model_specs import COLOUR, GREY, narrow, spec
from torch import nn

from robustcnn.core.runtime import evaluating, global_seed, seeded
from robustcnn.models import MODELS, PixelModel, build

PAIR = spec(1, 28, classes=2)


def test_the_network_sees_normalised_pixels() -> None:
    model = build("logistic", COLOUR)
    images = torch.rand(2, *COLOUR.shape, generator=seeded(0))
    torch.testing.assert_close(model(images), model.net((images - 0.4) / 0.25))


def test_gradients_are_whole_at_black_white_and_beyond() -> None:
    model = build("logistic", GREY)
    layer = model.net[1]
    assert isinstance(layer, nn.Linear)
    for level in (0.0, 0.5, 1.0, 1.2):
        images = torch.full((1, *GREY.shape), level, requires_grad=True)
        (gradient,) = torch.autograd.grad(model(images)[0, 3], images)
        torch.testing.assert_close(gradient.flatten(), layer.weight[3] / 0.25)


def test_bytes_and_other_shapes_are_refused() -> None:
    model = build("logistic", GREY)
    with pytest.raises(ValueError, match=r"floats in \[0, 1\], got torch.uint8 \(divide bytes by 255\)"):
        model(torch.zeros(1, *GREY.shape, dtype=torch.uint8))
    with pytest.raises(ValueError, match=r"must be \(N, 1, 28, 28\), got \(1, 3, 32, 32\)"):
        model(torch.zeros(1, *COLOUR.shape))


@pytest.mark.parametrize("name", MODELS)
def test_one_logit_makes_cross_entropy_binary_cross_entropy(name: str) -> None:
    with global_seed(0):
        model: PixelModel = build(narrow(name, single_logit=True), PAIR)
        images = torch.rand(4, *PAIR.shape)
    labels = torch.tensor([0, 1, 1, 0])
    with evaluating(model), torch.no_grad():
        logits = model(images)
        single = model.net((images - 0.4) / 0.25).squeeze(1)
    assert torch.equal(logits, torch.stack([torch.zeros(4), single], 1))
    binary = F.binary_cross_entropy_with_logits(single, labels.float(), reduction="none")
    torch.testing.assert_close(F.cross_entropy(logits, labels, reduction="none"), binary, rtol=1e-5, atol=1e-6)


def test_a_half_precision_copy_takes_half_precision_images() -> None:
    model = build("bncnn", GREY, width=0.25).bfloat16()
    with evaluating(model):
        assert model(torch.rand(1, *GREY.shape).bfloat16()).dtype == torch.bfloat16
