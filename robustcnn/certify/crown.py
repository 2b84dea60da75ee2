"""Bounds of the inner layers: by intervals, and closer ones by CROWN (Zhang et al. 2018) where they matter."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from robustcnn.certify.activations import Bent
from robustcnn.certify.network import Network, Rounding
from robustcnn.certify.operations import Box, flat
from robustcnn.certify.region import Region

MEMORY = 1 << 24
"""Numbers that the rows of one step back may hold."""
DEAREST = 6e9
"""Multiplications for one image and one layer above which intervals have to do."""


def enclosed(network: Network, region: Region, rounding: Rounding) -> dict[int, Box]:
    """Interval bounds of all nodes; in l2 and l1 the first layers see the ball, not the box round it."""
    if region.norm.box_shaped:
        return network.intervals(region, rounding)
    depth, boxes = network.depth, {0: region.box}
    for place in range(1, network.output + 1):
        boxes[place] = network.interval(place, boxes, rounding)
        if not depth[place] and place in network.read_by_bent:
            everywhere = torch.ones_like(boxes[place].low, dtype=torch.bool)
            boxes[place] = _closer(network, place, everywhere, boxes, region, rounding)
    return boxes


def tightened(network: Network, boxes: Mapping[int, Box], region: Region, rounding: Rounding) -> dict[int, Box]:
    """Bounds by CROWN of all values whose sign, or whatever else makes lines closer, intervals leave open."""
    depth, dtype = network.depth, region.images.dtype
    found = {0: region.box}
    for place in range(1, network.output + 1):
        box = boxes[place].rounded(dtype).cut(network.interval(place, found, rounding))
        found[place] = box
        if depth[place] and place in network.read_by_bent:
            found[place] = _closer(network, place, _undecided(network, place, box), found, region, rounding)
    return found


def _undecided(network: Network, place: int, box: Box) -> Tensor:
    readers = [each for each in network.operations if isinstance(each, Bent) and place in each.inputs]
    return torch.stack([each.undecided(box) for each in readers]).any(0)


def _closer(
    network: Network, place: int, wanted: Tensor, boxes: Mapping[int, Box], region: Region, rounding: Rounding
) -> Box:
    """The box of a node, closer where it is wanted and affordable."""
    box, mask = boxes[place], flat(wanted, 1)
    units = int(mask.sum(1).max())
    if not units or 2 * units * _work(network, place, boxes) > DEAREST:
        return box
    chosen = mask.to(torch.uint8).topk(units, dim=1).indices
    widest = max(boxes[each].low[0].numel() for each in range(place + 1))
    size = max(1, MEMORY // (2 * widest * len(mask)))

    def least(rows: Tensor) -> Tensor:
        return network.least(place, rows, boxes, region, rounding=rounding)

    ends = [_ends(least, part, box.low) for part in chosen.split(size, dim=1)]
    low, high = (torch.cat(parts, 1) for parts in zip(*ends, strict=True))
    return box.cut(
        Box(
            torch.full_like(mask, -torch.inf, dtype=low.dtype).scatter(1, chosen, low).view_as(box.low),
            torch.full_like(mask, torch.inf, dtype=low.dtype).scatter(1, chosen, high).view_as(box.low),
        )
    )


def _ends(least: Callable[[Tensor], Tensor], chosen: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
    """Lower and upper bounds (N, U) of the chosen values of a node."""
    rows = like.new_zeros(*chosen.shape, like[0].numel()).scatter_(2, chosen.unsqueeze(2), 1.0)
    rows = rows.view(*chosen.shape, *like.shape[1:])
    both = least(torch.cat([rows, -rows], 1))
    low, high = both.split(chosen.shape[1], dim=1)
    return torch.nan_to_num(low, nan=-torch.inf), torch.nan_to_num(-high, nan=torch.inf)


def _work(network: Network, place: int, boxes: Mapping[int, Box]) -> float:
    """Multiplications that one row takes on its way to the images."""
    return sum(max(network.at(each).terms, 1) * boxes[each].low[0].numel() for each in range(1, place + 1))
