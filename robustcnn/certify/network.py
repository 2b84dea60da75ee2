"""Interval bounds of every layer, forwards, and linear bounds of one of them, backwards."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

import torch
from torch import Tensor

from robustcnn.certify.activations import Bent
from robustcnn.certify.operations import Box, Operation, flat
from robustcnn.certify.region import Region


class Rounding(NamedTuple):
    """Relative error of one operation: the model's, because it is its rounded answers that count, and our own."""

    model: float = 0.0
    ours: float = 0.0

    @classmethod
    def of(cls, model: torch.dtype, working: torch.dtype, device: torch.device) -> Rounding:
        """For a model in one precision and bounds worked out in another."""
        coarse = device.type == "cuda" and torch.backends.cudnn.allow_tf32
        return cls(2**-11 if coarse else torch.finfo(model).eps / 2, torch.finfo(working).eps / 2)

    def layer(self, terms: int) -> float:
        """What so many roundings in a layer come to at most, as a share of the sum of its absolute terms."""
        return _gamma(terms * self.model) + self.sum(terms)

    def sum(self, terms: int) -> float:
        """The same of a sum that is ours alone; twice, because it is widened by sums that are rounded too."""
        return 2 * _gamma(terms * self.ours)


def _gamma(error: float) -> float:
    """gamma_n of Higham 2002."""
    return error / (1 - error) if error < 0.5 else math.inf


EXACT = Rounding()
"""For training, which needs no proof."""


@dataclass(frozen=True, eq=False)
class Network:
    """Layers in an order in which each reads earlier ones only; node 0 is the images."""

    operations: tuple[Operation | None, ...]
    output: int

    @property
    def bent(self) -> frozenset[int]:
        """Nodes that are no affine function of what they read."""
        return frozenset(place for place, each in enumerate(self.operations) if isinstance(each, Bent))

    @property
    def read_by_bent(self) -> frozenset[int]:
        """Nodes whose bounds decide how close the lines of the next layer are."""
        return frozenset(source for place in self.bent for source in self.at(place).inputs)

    @property
    def depth(self) -> tuple[int, ...]:
        """How many layers that are not affine lie between the images and each node, at most."""
        found: list[int] = []
        for operation in self.operations:
            before = max((found[source] for source in operation.inputs), default=0) if operation else 0
            found.append(before + isinstance(operation, Bent))
        return tuple(found)

    def at(self, place: int) -> Operation:
        """The layer whose output node `place` is."""
        return cast(Operation, self.operations[place])

    def interval(self, place: int, boxes: Mapping[int, Box], rounding: Rounding) -> Box:
        """Bounds of a node from those of the nodes that it reads, rounding errors included."""
        operation = self.at(place)
        read = [boxes[source] for source in operation.inputs]
        box = operation.interval(read)
        share = rounding.layer(operation.terms)
        return box.widened(share * operation.size(read)) if share else box

    def intervals(self, region: Region, rounding: Rounding) -> dict[int, Box]:
        """Bounds of all nodes."""
        boxes = {0: region.box}
        for place in range(1, self.output + 1):
            boxes[place] = self.interval(place, boxes, rounding)
        return boxes

    def least(
        self,
        place: int,
        rows: Tensor,
        boxes: Mapping[int, Box],
        region: Region,
        *,
        rounding: Rounding,
        stops: Collection[int] = (),
        slopes: Mapping[int, Tensor] | None = None,
    ) -> Tensor:
        """Lower bounds (N, S) of linear functions of a node, with coefficients (N, S, ...).

        They are carried back, layer by layer, to the images, or to nodes in `stops`, whose boxes are then relied on.
        """
        waiting = {place: rows}
        total: Tensor | float = 0.0
        for at in range(place, -1, -1):
            if at not in waiting:
                continue
            rows = waiting.pop(at)
            if at == 0 or at in stops:
                total = total + (region.least(rows) if at == 0 else boxes[at].least(rows))
                total = total - _lost(rows, boxes[at].magnitude, rounding.sum(rows[0, 0].numel() + 8))
                continue
            operation = self.at(at)
            read = [boxes[source] for source in operation.inputs]
            pulled = operation.pull(rows, read, (slopes or {}).get(at))
            total = total + pulled.constant - _lost(rows, operation.size, rounding.layer(operation.terms), read)
            for source, part in zip(operation.inputs, pulled.rows, strict=True):
                waiting[source] = waiting[source] + part if source in waiting else part
        return cast(Tensor, total)


def _lost(rows: Tensor, size: Tensor | object, share: float, read: Sequence[Box] = ()) -> Tensor | float:
    """What rounding may take from linear functions with these coefficients of values with that sum of terms."""
    if not share:
        return 0.0
    terms = size if isinstance(size, Tensor) else size(read)  # type: ignore[operator]
    terms = flat(terms.expand(len(rows), *rows.shape[2:]), 1)
    return share * (flat(rows, 2).abs() @ terms.unsqueeze(2)).squeeze(2)
