"""Scalings become part of the layer before them: fewer passes over maps, where rounding is not accounted for."""

from __future__ import annotations

import copy
from collections import Counter

from torch import Tensor

from robustcnn.certify.network import Network
from robustcnn.certify.operations import Convolution, Dense, Operation, Scaling


def folded(network: Network) -> Network:
    """The same function, every batch norm taken into the convolution or linear layer whose only reader it is."""
    readers = Counter(source for each in network.operations if each for source in each.inputs)
    readers[network.output] += 1
    operations: list[Operation | None] = [None]
    places = {0: 0}
    for place, operation in enumerate(network.operations):
        if operation is None:
            continue
        inputs = tuple(places[source] for source in operation.inputs)
        last = operations[-1]
        alone = inputs == (len(operations) - 1,) and readers[operation.inputs[0]] == 1
        joined = _joined(last, operation) if alone and last is not None else None
        if joined is not None:
            operations[-1] = joined
        else:
            moved = copy.copy(operation)
            moved.inputs = inputs
            operations.append(moved)
        places[place] = len(operations) - 1
    return Network(tuple(operations), places[network.output])


def _joined(first: Operation, second: Operation) -> Operation | None:
    """The two as one layer, where the second scales the outputs of the first, or its channels."""
    if not isinstance(second, Scaling) or not isinstance(first, Convolution | Dense):
        return None
    factor, channels = second.factor, first.weight.shape[0]
    maps = (1, 1) if isinstance(first, Convolution) else ()
    if factor.shape not in ((), (channels, *maps)) or _strange(second.offset, (channels, *maps)):
        return None
    weight = first.weight * (factor.view(-1, *[1] * (first.weight.ndim - 1)) if factor.ndim else factor)
    offset = _added(None if first.offset is None else first.offset * factor, second.offset)
    if isinstance(first, Dense):
        return Dense(first.inputs, weight, offset)
    joined = copy.copy(first)
    joined.weight, joined.offset = weight, offset
    return joined


def _strange(offset: Tensor | None, shape: tuple[int, ...]) -> bool:
    return offset is not None and offset.shape not in ((), shape)


def _added(first: Tensor | None, second: Tensor | None) -> Tensor | None:
    return second if first is None else first if second is None else first + second
