"""Folding changes no bound."""

from __future__ import annotations

import pytest
import torch
from random_nets import points, random_net
from torch import nn

from robustcnn import ThreatModel, build, load
from robustcnn.certify.folding import folded
from robustcnn.certify.graph import trace
from robustcnn.certify.margins import margin_rows
from robustcnn.certify.network import EXACT, Network
from robustcnn.certify.operations import Scaling
from robustcnn.certify.region import Region


def _bounds(network: Network, images: torch.Tensor, *, stops: bool) -> torch.Tensor:
    region = Region.of(images, ThreatModel(eps=0.1), torch.float64)
    boxes = network.intervals(region, EXACT)
    rows = margin_rows(boxes[network.output].low, torch.zeros(len(images), dtype=torch.long))
    return network.least(
        network.output, rows, boxes, region, rounding=EXACT, stops=network.bent if stops else frozenset()
    )


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("stops", [True, False], ids=["interval", "crown"])
def test_a_folded_network_has_the_same_bounds(seed: int, stops: bool) -> None:
    images = points(seed)
    network = trace(random_net(seed), images[0]).network(torch.float64)
    torch.testing.assert_close(_bounds(folded(network), images, stops=stops), _bounds(network, images, stops=stops))


class TwoReaders(nn.Module):
    """What a batch norm reads is read by another layer too."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.last = nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Linear(108, 4)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        maps = self.conv(images)
        maps = self.norm(maps).relu() + maps
        return self.last(maps.flatten(1))


def test_what_another_layer_reads_too_is_left_alone() -> None:
    torch.manual_seed(0)
    images = points(0)
    model = TwoReaders().eval()
    model.norm.running_var.fill_(3.0)
    network = trace(model, images[0]).network(torch.float64)
    torch.testing.assert_close(_bounds(folded(network), images, stops=False), _bounds(network, images, stops=False))


def test_no_batch_norm_is_left_of_a_network_in_a_row() -> None:
    train, _, _ = load("digits")
    network = trace(build("provablecnn", train.spec, width=0.25), torch.zeros(train.spec.shape)).network()
    scalings = [sum(isinstance(each, Scaling) for each in some.operations) for some in (network, folded(network))]
    # What is left normalises the pixels.
    assert scalings[0] - scalings[1] == 5
