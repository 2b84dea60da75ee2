"""What a traced layer does to a box of values, and to linear functions of its output: the affine layers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.grad import conv2d_input


def flat(values: Tensor, lead: int) -> Tensor:
    """The values with `lead` dimensions and one more, also where one example is a single number."""
    return values.flatten(lead) if values.ndim > lead else values.unsqueeze(lead)


class Box(NamedTuple):
    """Least and greatest values (N, ...), element by element."""

    low: Tensor
    high: Tensor

    @property
    def centre(self) -> Tensor:
        return (self.low + self.high) / 2

    @property
    def radius(self) -> Tensor:
        return (self.high - self.low) / 2

    @property
    def magnitude(self) -> Tensor:
        return self.low.abs().maximum(self.high.abs())

    def least(self, rows: Tensor) -> Tensor:
        """The least value (N, S) that linear functions with coefficients (N, S, ...) take in the box."""
        rows = flat(rows, 2)
        centre, radius = (flat(part, 1).unsqueeze(2) for part in (self.centre, self.radius))
        return (rows @ centre - rows.abs() @ radius).squeeze(2)

    def widened(self, by: Tensor) -> Box:
        return Box(self.low - by, self.high + by)

    def rounded(self, dtype: torch.dtype) -> Box:
        """In a coarser precision, and no smaller."""
        low, high = self.low.to(dtype), self.high.to(dtype)
        return Box(low.nextafter(torch.full_like(low, -torch.inf)), high.nextafter(torch.full_like(high, torch.inf)))

    def cut(self, other: Box) -> Box:
        """What lies in both."""
        return Box(self.low.maximum(other.low), self.high.minimum(other.high))


class Pulled(NamedTuple):
    """A linear bound carried from a layer's output to its inputs."""

    rows: tuple[Tensor, ...]
    """Coefficients (N, S, ...), one for each input."""
    constant: Tensor | float
    """(N, S)."""


class Operation(ABC):
    """One layer of a network whose numbers are in place."""

    inputs: tuple[int, ...]
    """The nodes that it reads."""
    terms: int
    """So many roundings at most go into one output value."""

    @abstractmethod
    def interval(self, boxes: Sequence[Box]) -> Box:
        """What the output may be."""

    @abstractmethod
    def size(self, boxes: Sequence[Box]) -> Tensor:
        """What the terms of each output value may add up to, signs not heeded: rounding errors are a share of it."""

    @abstractmethod
    def pull(self, rows: Tensor, boxes: Sequence[Box], slopes: Tensor | None) -> Pulled:
        """From lower bounds that are linear in the output to lower bounds that are linear in the inputs."""


class Affine(Operation):
    """A linear map of its inputs and a constant."""

    offset: Tensor | None
    """Broadcasts against the output."""

    @abstractmethod
    def linear(self, *values: Tensor) -> Tensor:
        """Without the constant."""

    @abstractmethod
    def magnitude(self, *values: Tensor) -> Tensor:
        """The linear part with the absolute values of its coefficients."""

    @abstractmethod
    def adjoint(self, rows: Tensor, shapes: Sequence[torch.Size]) -> tuple[Tensor, ...]:
        """The transposed map of each input, on rows (B, ...); `shapes` are one example's."""

    def interval(self, boxes: Sequence[Box]) -> Box:
        centre = self.linear(*(box.centre for box in boxes))
        radius = self.magnitude(*(box.radius for box in boxes))
        centre = centre if self.offset is None else centre + self.offset
        return Box(centre - radius, centre + radius)

    def size(self, boxes: Sequence[Box]) -> Tensor:
        terms = self.magnitude(*(box.magnitude for box in boxes))
        return terms if self.offset is None else terms + self.offset.abs()

    def pull(self, rows: Tensor, boxes: Sequence[Box], slopes: Tensor | None) -> Pulled:  # noqa: ARG002
        count = rows.shape[:2]
        parts = self.adjoint(rows.flatten(0, 1), [box.low.shape[1:] for box in boxes])
        return Pulled(tuple(part.unflatten(0, count) for part in parts), self._constant(rows))

    def _constant(self, rows: Tensor) -> Tensor | float:
        if self.offset is None:
            return 0.0
        return flat(rows, 2) @ self.offset.expand(rows.shape[2:]).flatten()


class Weighted(Affine):
    """A linear map by a matrix or a kernel."""

    weight: Tensor

    @abstractmethod
    def by(self, weight: Tensor, values: Tensor, offset: Tensor | None = None) -> Tensor:
        """The map with another weight of its shape, and with a constant if there is one."""

    def linear(self, *values: Tensor) -> Tensor:
        return self.by(self.weight, values[0])

    def magnitude(self, *values: Tensor) -> Tensor:
        return self.by(self.weight.abs(), values[0])

    def interval(self, boxes: Sequence[Box]) -> Box:
        # Weights are halved, exactly, instead of the centre and the radius, which are larger.
        low, high = boxes[0]
        centre, radius = self.by(self.weight / 2, low + high, self.offset), self.radius(high - low)
        return Box(centre - radius, centre + radius)

    def radius(self, widths: Tensor) -> Tensor:
        """Of the output, from the widths of the input."""
        return self.by((self.weight / 2).abs(), widths)


@dataclass(eq=False)
class Convolution(Weighted):
    inputs: tuple[int, ...]
    weight: Tensor
    offset: Tensor | None
    stride: list[int]
    padding: list[int]
    dilation: list[int]
    groups: int

    def __post_init__(self) -> None:
        self.terms = self.weight[0].numel() + 2
        self.offset = None if self.offset is None else self.offset[:, None, None]

    def by(self, weight: Tensor, values: Tensor, offset: Tensor | None = None) -> Tensor:
        bias = None if offset is None else offset.flatten().expand(len(weight))
        return F.conv2d(values, weight, bias, self.stride, self.padding, self.dilation, self.groups)

    def adjoint(self, rows: Tensor, shapes: Sequence[torch.Size]) -> tuple[Tensor, ...]:
        size = (len(rows), *shapes[0])
        pulled: Tensor = conv2d_input(size, self.weight, rows, self.stride, self.padding, self.dilation, self.groups)
        return (pulled,)


@dataclass(eq=False)
class Dense(Weighted):
    inputs: tuple[int, ...]
    weight: Tensor
    offset: Tensor | None

    def __post_init__(self) -> None:
        self.terms = self.weight.shape[1] + 2

    def by(self, weight: Tensor, values: Tensor, offset: Tensor | None = None) -> Tensor:
        product = F.linear(values, weight)
        return product if offset is None else product + offset

    def adjoint(self, rows: Tensor, shapes: Sequence[torch.Size]) -> tuple[Tensor, ...]:  # noqa: ARG002
        return (rows @ self.weight,)


@dataclass(eq=False)
class Scaling(Affine):
    """Every value times a factor of its own; normalisation is that."""

    inputs: tuple[int, ...]
    factor: Tensor
    """Broadcasts against the values, and does not enlarge them."""
    offset: Tensor | None
    terms: int = 6

    def linear(self, *values: Tensor) -> Tensor:
        return values[0] * self.factor

    def magnitude(self, *values: Tensor) -> Tensor:
        return values[0] * self.factor.abs()

    def adjoint(self, rows: Tensor, shapes: Sequence[torch.Size]) -> tuple[Tensor, ...]:  # noqa: ARG002
        return (rows * self.factor,)


@dataclass(eq=False)
class Sum(Affine):
    """Two inputs of one shape, each times a number."""

    inputs: tuple[int, ...]
    factors: tuple[float, float]
    terms: int = 3
    offset: Tensor | None = None

    def linear(self, *values: Tensor) -> Tensor:
        return self.factors[0] * values[0] + self.factors[1] * values[1]

    def magnitude(self, *values: Tensor) -> Tensor:
        return abs(self.factors[0]) * values[0] + abs(self.factors[1]) * values[1]

    def adjoint(self, rows: Tensor, shapes: Sequence[torch.Size]) -> tuple[Tensor, ...]:  # noqa: ARG002
        return (self.factors[0] * rows, self.factors[1] * rows)


@dataclass(eq=False)
class Moving(Affine):
    """Values are moved, left out or averaged: a linear map without negative coefficients that torch can transpose."""

    inputs: tuple[int, ...]
    function: Callable[..., Tensor]
    terms: int
    offset: Tensor | None = None

    def linear(self, *values: Tensor) -> Tensor:
        return self.function(*values)

    def magnitude(self, *values: Tensor) -> Tensor:
        return self.function(*values)

    def adjoint(self, rows: Tensor, shapes: Sequence[torch.Size]) -> tuple[Tensor, ...]:
        return transposed(self.function, rows, shapes)


def transposed(function: Callable[..., Tensor], rows: Tensor, shapes: Sequence[torch.Size]) -> tuple[Tensor, ...]:
    """The adjoint of a linear function of batches, by its derivative."""
    with torch.enable_grad():
        anywhere = [rows.new_zeros(len(rows), *shape).requires_grad_() for shape in shapes]
        output = function(*anywhere)
        return torch.autograd.grad(output, anywhere, rows, create_graph=rows.requires_grad)
