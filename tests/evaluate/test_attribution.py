"""What a network looks at, on networks where that is known."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from robustcnn.evaluate.attribution import feature_maps, grad_cam, maximise_units, saliency, shown

LABELS = torch.tensor([0, 1])


def test_the_saliency_of_a_linear_model_is_its_weights() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(9, 2))
    found = saliency(net, torch.rand(2, 1, 3, 3), LABELS)
    torch.testing.assert_close(found.flatten(1), net[1].weight.detach())
    assert net[1].weight.grad is None


def quadrants() -> nn.Sequential:
    """Map 0 passes the picture on and speaks for class 0, map 1 passes its negative on and speaks for class 1."""
    net = nn.Sequential(
        nn.Conv2d(1, 2, 1, bias=False), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 2, bias=False)
    )
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor([1.0, -1.0]).view(2, 1, 1, 1))
        net[3].weight.copy_(torch.eye(2))
    return net


def test_grad_cam_lights_up_where_the_class_is_spoken_for() -> None:
    picture = torch.zeros(1, 1, 4, 4)
    picture[0, 0, 0, 1], picture[0, 0, 3, 2] = 1.0, -1.0
    for_first, for_second = (grad_cam(quadrants(), picture, torch.tensor([label]), "0") for label in (0, 1))
    assert for_first.flatten().argmax() == 1
    assert for_second.flatten().argmax() == 14
    assert for_first.amax() == for_second.amax() == 1
    assert for_first[0, 0, 3, 2] == 0


def test_a_layers_maps_are_given_as_they_are_and_an_unknown_layer_is_named() -> None:
    net, images = quadrants(), torch.rand(2, 1, 4, 4)
    torch.testing.assert_close(feature_maps(net, images, ["0"])["0"], net[0](images).detach())
    with pytest.raises(ValueError, match="layer 'conv9' is not in the model; its convolutions: 0"):
        feature_maps(net, images, ["conv9"])


def test_the_favourite_pictures_of_a_brightness_network_are_bright_and_dark() -> None:
    bright, dark = maximise_units(quadrants(), (1, 8, 8), [0, 1], steps=60)
    assert bright.mean() > 0.9
    assert dark.mean() < 0.1
    assert maximise_units(quadrants(), (1, 8, 8), [1], layer="0", steps=60).mean() < 0.1


def test_numbers_of_either_sign_are_shown_about_grey() -> None:
    assert shown(torch.tensor([[[[-2.0, 0.0, 1.0]]]])).flatten().tolist() == [0.0, 0.5, 0.75]
