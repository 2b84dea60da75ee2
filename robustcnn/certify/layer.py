"""One traced layer and its arguments, and how a model is refused."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node


class NoLowerBound(ValueError):
    """Nothing can be proven of this model."""

    def __init__(self, why: str) -> None:
        super().__init__(f"no lower bound: {why}")


class Layer:
    """One node of the traced graph, with its arguments as far as they are known."""

    def __init__(self, node: Node, places: Mapping[str, int], found: Mapping[str, Any]) -> None:
        self.node, self.places, self.found = node, places, found
        self.place: int | None = None
        """Set where the layer does nothing: it is then the node that it reads."""
        schema = node.target._schema  # type: ignore[union-attr]
        given = dict(zip([each.name for each in schema.arguments], node.args, strict=False)) | node.kwargs
        self.arguments = {
            each.name: given.get(each.name, each.default_value if each.has_default_value() else None)
            for each in schema.arguments
        }

    def __getitem__(self, name: str) -> Any:
        """An argument; None for one that depends on the images."""
        return torch.fx.node.map_arg(self.arguments[name], lambda each: self.found.get(each.name))

    def is_image(self, name: str) -> bool:
        """Whether this argument depends on the images."""
        each = self.arguments[name]
        return isinstance(each, Node) and each.name in self.places

    def argument_node(self, name: str = "") -> Node:
        """The node behind an argument, or behind the only one that depends on the images."""
        each = self.arguments[name] if name else None
        return each if isinstance(each, Node) else next(n for n in self.node.all_input_nodes if n.name in self.places)

    def source(self, name: str = "") -> int:
        """The place that the argument, or the only input, comes from."""
        return self.places[self.argument_node(name).name]

    def refuse(self, why: str) -> NoLowerBound:
        return NoLowerBound(f"no bound is known of {self.node.target} {why}")

    @property
    def shape(self) -> torch.Size:
        """Of the only input, a batch of whatever size."""
        shape: torch.Size = self.argument_node().meta["val"].shape
        return shape


def constant_of(layer: Layer, value: Tensor | float) -> Tensor:
    """A constant that broadcasts against one example, of the weights' kind."""
    after = layer.node.meta["val"]
    known = [each for each in layer.found.values() if isinstance(each, Tensor) and each.is_floating_point()]
    like = known[0] if known else torch.empty((), dtype=after.dtype, device=after.device)
    tensor = value.to(like) if isinstance(value, Tensor) else like.new_tensor(float(value))
    if tensor.ndim >= after.ndim:
        if tensor.ndim > after.ndim or tensor.shape[0] != 1:
            raise layer.refuse(f"with a constant of shape {tuple(tensor.shape)}")
        tensor = tensor[0]
    if math.prod(torch.broadcast_shapes(tensor.shape, after.shape[1:])) != math.prod(after.shape[1:]):
        raise layer.refuse(f"with a constant of shape {tuple(tensor.shape)}")
    return tensor


def pair(value: int | Sequence[int]) -> list[int]:
    values = [value] if isinstance(value, int) else list(value)
    return values * 2 if len(values) == 1 else values
