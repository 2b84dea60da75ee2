"""Receptive fields, followed through whatever a network computes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from torch import Tensor
from torch.overrides import TorchFunctionMode

from robustcnn.core.conv_arithmetic import Pair, Window


class Field(NamedTuple):
    """How many input pixels one value sees, and how many lie between neighbours; each (height, width)."""

    size: Pair = (1, 1)
    jump: Pair = (1, 1)

    def through(self, window: Window) -> Field:
        size, jump = (
            (
                self.size[axis] + window.dilation[axis] * (window.kernel[axis] - 1) * self.jump[axis],
                self.jump[axis] * window.stride[axis],
            )
            for axis in (0, 1)
        )
        return Field((size[0], jump[0]), (size[1], jump[1]))


def largest(fields: list[Field]) -> Field:
    """The field that covers all: where branches join, the widest decides."""
    sizes, jumps = zip(*fields, strict=True)
    return Field(*((max(h for h, _ in pairs), max(w for _, w in pairs)) for pairs in (sizes, jumps)))


class FieldTracker(TorchFunctionMode):
    """Hands the field of its inputs on to the result of every torch operation inside the block."""

    def __init__(self) -> None:
        super().__init__()
        # Keeping the tensor keeps its id from being given to another.
        self._known: dict[int, tuple[Tensor, Field]] = {}

    def set(self, tensor: Tensor, field: Field) -> None:
        self._known[id(tensor)] = (tensor, field)

    def of(self, tensor: Tensor) -> Field:
        return self._known[id(tensor)][1] if id(tensor) in self._known else Field()

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        sources = [self.of(tensor) for tensor in _tensors(args)]
        if sources:
            for tensor in _tensors(result):
                self.set(tensor, largest(sources))
        return result


def _tensors(value: object) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, tuple | list):
        for part in value:
            yield from _tensors(part)
