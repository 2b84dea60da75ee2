"""A model as a graph of layers that bounds are known of, traced with torch.fx by way of torch.export."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.export.graph_signature import InputKind
from torch.fx import Node

from robustcnn.certify.layer import Layer, NoLowerBound
from robustcnn.certify.layers import BUILDERS
from robustcnn.certify.network import Network
from robustcnn.certify.operations import Operation
from robustcnn.core.runtime import evaluating
from robustcnn.fast.plain_view import beneath, logits_of


@dataclass(frozen=True, eq=False)
class Traced:
    """The graph of a model in evaluation mode; its numbers are fetched from the model when they are needed."""

    model: nn.Module
    nodes: tuple[Node, ...]
    weights: Mapping[str, str]
    """Names of parameters and buffers, by the name of their node."""
    constants: Mapping[str, Tensor]
    images: str
    """The input's node."""
    output: str
    dtype: torch.dtype
    """What the model itself computes in."""

    def network(self, dtype: torch.dtype | None = None, *, instead: Mapping[str, Tensor] | None = None) -> Network:
        """The layers with the model's present weights: as they are, to be trained, or as constants of `dtype`.

        Parameters and buffers that `instead` names are those.
        """
        found: dict[str, Any] = {}
        places: dict[str, int] = {self.images: 0}
        operations: list[Operation | None] = [None]
        state = dict(self.model.named_parameters()) | dict(self.model.named_buffers()) | dict(instead or {})
        for node in self.nodes:
            if node.op == "placeholder":
                if node.name != self.images:
                    tensor = state[self.weights[node.name]] if node.name in self.weights else self.constants[node.name]
                    found[node.name] = tensor if dtype is None else _as_constant(tensor, dtype)
            elif not _reads_images(node, places):
                arguments = torch.fx.node.map_arg((node.args, node.kwargs), lambda each: found[each.name])
                found[node.name] = node.target(*arguments[0], **arguments[1])  # type: ignore[operator]
            elif node.target is operator.getitem and node.args[1] == 0:
                places[node.name] = places[node.all_input_nodes[0].name]
            elif str(node.target) != _SIZE:
                layer = Layer(node, places, found)
                operations += BUILDERS[str(node.target)](layer, len(operations)) or []
                places[node.name] = layer.place if layer.place is not None else len(operations) - 1
        return Network(tuple(operations), places[self.output])


_SIZE = "aten.sym_size.int"


def trace(model: nn.Module, image: Tensor) -> Traced:
    """The graph of what `model` does to pictures like `image` (C, H, W); a ValueError where no bound is known."""
    model = beneath(model)
    own = next((each.dtype for each in model.parameters() if each.is_floating_point()), image.dtype)
    exported = _export(model, image.to(own))
    signature = exported.graph_signature
    if signature.buffers_to_mutate or signature.user_inputs_to_mutate:
        raise NoLowerBound("the model changes its own state when it is asked")
    nodes = tuple(exported.graph.nodes)
    kinds = {spec.arg.name: spec for spec in signature.input_specs}
    weights = {name: str(spec.target).removeprefix("model.") for name, spec in kinds.items() if spec.kind in _STATE}
    constants = {
        name: exported.constants[spec.target] for name, spec in kinds.items() if spec.kind is InputKind.CONSTANT_TENSOR
    }
    (images,) = signature.user_inputs
    outputs = next(node for node in nodes if node.op == "output").args[0]
    if not isinstance(outputs, tuple | list) or len(outputs) != 1 or not isinstance(outputs[0], Node):
        raise NoLowerBound("the model must return logits (N, K) and nothing else")
    inner = tuple(node for node in nodes if node.op != "output")
    _check(inner, images)
    return Traced(model, inner, weights, constants, images, outputs[0].name, own)


_STATE = (InputKind.PARAMETER, InputKind.BUFFER)


class _LogitsOf(nn.Module):
    """What of a model's answer counts."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        return logits_of(self.model(images))


def _export(model: nn.Module, image: Tensor) -> Any:
    plain = _LogitsOf(model)
    several = image.detach().expand(2, *image.shape).clone()
    batch = torch.export.Dim("batch", min=1)
    try:
        with evaluating(plain), torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exported = torch.export.export(plain, (several,), dynamic_shapes=({0: batch},), strict=False)
            return exported.run_decompositions({})
    except Exception as problem:
        first = str(problem).strip().splitlines()[0] if str(problem).strip() else type(problem).__name__
        raise NoLowerBound(f"the model cannot be traced ({first[:160]})") from problem


def _as_constant(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return tensor.detach().to(dtype) if tensor.is_floating_point() else tensor


def _reads_images(node: Node, places: Mapping[str, int]) -> bool:
    return any(each.name in places or str(each.target) == _SIZE for each in node.all_input_nodes)


def _check(nodes: tuple[Node, ...], images: str) -> None:
    """Refuse layers that no bound is known of, and those that mix the examples of a batch."""
    source = next(node for node in nodes if node.name == images)
    batch = source.meta["val"].shape[0]
    reached = {images}
    for node in nodes:
        if node.op == "placeholder" or not any(each.name in reached for each in node.all_input_nodes):
            if node.op == "call_function" and torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ()):
                raise NoLowerBound(f"the model draws random numbers ({node.target})")
            continue
        reached.add(node.name)
        if str(node.target) == _SIZE or (node.target is operator.getitem and node.args[1] == 0):
            continue
        if torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ()):
            raise NoLowerBound(f"the model draws random numbers ({node.target})")
        if str(node.target) not in BUILDERS:
            raise NoLowerBound(f"no bound is known of {_where(node)}")
        value = node.meta.get("val")
        value = value[0] if isinstance(value, tuple | list) else value
        if not isinstance(value, Tensor) or not value.ndim or value.shape[0] != batch:
            raise NoLowerBound(f"{_where(node)} mixes the examples of a batch")


def _where(node: Node) -> str:
    """The layer by its operation, and by the module that called it."""
    stack = node.meta.get("nn_module_stack") or {}
    path = [name for name, _ in stack.values() if name]
    return f"{node.target}" + (f" in {path[-1]}" if path else "")
