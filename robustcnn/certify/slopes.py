"""alpha-CROWN: the lower lines whose slopes bring the highest bounds (Xu et al. 2021); all give sound ones."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from robustcnn.certify.activations import Convex
from robustcnn.certify.network import EXACT, Network
from robustcnn.certify.operations import Box
from robustcnn.certify.region import Region

RATE = 0.25
"""Of Adam; slopes lie in [0, 1]."""


def best_slopes(
    network: Network, boxes: Mapping[int, Box], region: Region, wanted: Tensor, steps: int
) -> dict[int, Tensor]:
    """For each layer that can choose, slopes (N, S, ...) of its own for every one of the wanted bounds (N, S)."""
    slopes = {place: _adaptive(network, place, boxes, wanted.shape[1]) for place in _choosers(network)}
    if not slopes:
        return {}
    best = {place: each.clone() for place, each in slopes.items()}
    highest = wanted.new_full(wanted.shape[:2], -torch.inf)
    optimizer = torch.optim.Adam([each.requires_grad_() for each in slopes.values()], lr=RATE)
    for step in range(steps + 1):
        with torch.enable_grad():
            bounds = network.least(network.output, wanted, boxes, region, rounding=EXACT, slopes=slopes)
            total = bounds.sum()
        better = bounds.detach() > highest
        highest = torch.where(better, bounds.detach(), highest)
        for place, each in slopes.items():
            best[place] = torch.where(better.view(*better.shape, *[1] * (each.ndim - 2)), each.detach(), best[place])
        if step < steps:
            _climb(optimizer, total, list(slopes.values()), RATE * 0.98**step)
    return best


def _climb(optimizer: torch.optim.Optimizer, total: Tensor, slopes: list[Tensor], rate: float) -> None:
    gradients = torch.autograd.grad(total, slopes, torch.full_like(total, -1.0), allow_unused=True)
    for slope, gradient in zip(slopes, gradients, strict=True):
        slope.grad = gradient
    optimizer.param_groups[0]["lr"] = rate
    optimizer.step()
    for slope in slopes:
        slope.clamp_(0, 1)


def _choosers(network: Network) -> list[int]:
    return [place for place in sorted(network.bent) if isinstance(network.at(place), Convex)]


def _adaptive(network: Network, place: int, boxes: Mapping[int, Box], rows: int) -> Tensor:
    """Where CROWN stands without a search."""
    operation = network.at(place)
    assert isinstance(operation, Convex)
    start = operation.usual(boxes[operation.inputs[0]])
    return start.unsqueeze(1).repeat(1, rows, *[1] * (start.ndim - 1))
