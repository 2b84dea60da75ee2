"""The layers that are not affine, each between two straight lines."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from robustcnn.certify.operations import Box, Operation, Pulled, flat, transposed

LEAST_WIDTH = 1e-12
"""Where an input may vary by less, a line is level."""


class Line(NamedTuple):
    """slope * value + offset, element by element."""

    slope: Tensor
    offset: Tensor


class Bent(Operation):
    """A function, never steeper than 1, of one value at a time; of a group, of the one value that `chosen` picks."""

    inputs: tuple[int, ...]
    terms: int = 16

    @abstractmethod
    def function(self, values: Tensor) -> Tensor:
        """Grows with every value."""

    @abstractmethod
    def lower(self, box: Box, slopes: Tensor | None) -> Line:
        """A line below the function in the box; `slopes` in [0, 1] choose among those that there are."""

    @abstractmethod
    def upper(self, box: Box) -> Line:
        """A line above it."""

    def interval(self, boxes: Sequence[Box]) -> Box:
        return Box(self.function(boxes[0].low), self.function(boxes[0].high))

    def size(self, boxes: Sequence[Box]) -> Tensor:
        return 2 * boxes[0].magnitude + self.interval(boxes).magnitude

    def undecided(self, box: Box) -> Tensor:
        """Where closer bounds of the input would bring closer lines."""
        return box.high - box.low > LEAST_WIDTH

    def pull(self, rows: Tensor, boxes: Sequence[Box], slopes: Tensor | None) -> Pulled:
        lower, upper = self.lower(boxes[0], slopes), self.upper(boxes[0])
        rising, falling = rows.clamp_min(0), rows.clamp_max(0)
        below = [part if slopes is not None and part.ndim == rows.ndim else part.unsqueeze(1) for part in lower]
        above = [part.unsqueeze(1) for part in upper]
        pulled = rising * below[0] + falling * above[0]
        constant = flat(rising * below[1] + falling * above[1], 2).sum(2)
        return Pulled((self.spread(pulled, boxes[0]),), constant)

    def spread(self, rows: Tensor, box: Box) -> Tensor:  # noqa: ARG002
        """Coefficients of the chosen values as coefficients of all."""
        return rows


@dataclass(eq=False)
class Convex(Bent):
    """Chords lie above, tangents below."""

    inputs: tuple[int, ...]
    curve: Callable[[Tensor], Tensor]
    derivative: Callable[[Tensor], Tensor]

    def function(self, values: Tensor) -> Tensor:
        return self.curve(values)

    def usual(self, box: Box) -> Tensor:
        """The slopes without a search; here, how far along the box the tangent touches."""
        return torch.full_like(box.low, 0.5)

    def lower(self, box: Box, slopes: Tensor | None) -> Line:
        slopes = self.usual(box) if slopes is None else slopes
        low, high = _beside(box, slopes)
        touched = low + slopes * (high - low)
        slope = self.derivative(touched)
        return Line(slope, self.curve(touched) - slope * touched)

    def upper(self, box: Box) -> Line:
        return _chord(box.low, box.high, self.curve)


@dataclass(eq=False)
class Rectifier(Convex):
    """max(x, leak * x): ReLU with a leak of 0."""

    leak: float = 0.0

    def undecided(self, box: Box) -> Tensor:
        return (box.low < 0) & (box.high > 0)

    def usual(self, box: Box) -> Tensor:
        return (box.high > -box.low).to(box.low.dtype)

    def lower(self, box: Box, slopes: Tensor | None) -> Line:
        steeper = self.usual(box) if slopes is None else slopes
        low, high = _beside(box, steeper)
        # Where the sign is known, there is but one line.
        steeper = torch.where(low >= 0, 1.0, torch.where(high <= 0, 0.0, steeper))
        return Line(self.leak + (1 - self.leak) * steeper, torch.zeros_like(steeper))

    def upper(self, box: Box) -> Line:
        chord = _chord(box.low, box.high, self.curve)
        positive, negative = box.low >= 0, box.high <= 0
        slope = torch.where(positive, 1.0, torch.where(negative, self.leak, chord.slope))
        return Line(slope, torch.where(positive | negative, 0.0, chord.offset))


@dataclass(eq=False)
class Tanh(Bent):
    """Bent upwards below 0 and downwards above."""

    inputs: tuple[int, ...]

    def function(self, values: Tensor) -> Tensor:
        return values.tanh()

    def lower(self, box: Box, slopes: Tensor | None) -> Line:  # noqa: ARG002
        return _below_tanh(box.low, box.high)

    def upper(self, box: Box) -> Line:
        # The function is odd.
        line = _below_tanh(-box.high, -box.low)
        return Line(line.slope, -line.offset)


class Largest(Bent):
    """The largest value of each group; the one with the greatest lower bound stands for it."""

    def __init__(self, inputs: tuple[int, ...], groups: Callable[[Tensor, float], Tensor]) -> None:
        self.inputs = inputs
        self.groups = groups
        """Values, and what stands outside the map, to (N, ..., members)."""

    def function(self, values: Tensor) -> Tensor:
        return self.groups(values, -torch.inf).amax(-1)

    def lower(self, box: Box, slopes: Tensor | None) -> Line:  # noqa: ARG002
        zero = torch.zeros_like(self.function(box.low))
        return Line(zero + 1, zero)

    def upper(self, box: Box) -> Line:
        chosen, highs = self._chosen(box), self.groups(box.high, -torch.inf)
        low = self.groups(box.low, -torch.inf).gather(-1, chosen).squeeze(-1)
        high = highs.gather(-1, chosen).squeeze(-1)
        # Alone in its group it has no rival.
        rival = highs.scatter(-1, chosen, -torch.inf).amax(-1).maximum(low - 1)
        return _chord(low, high, lambda values: values.maximum(rival))

    def size(self, boxes: Sequence[Box]) -> Tensor:
        reach = self.groups(boxes[0].magnitude, 0.0).amax(-1)
        return 4 * reach

    def spread(self, rows: Tensor, box: Box) -> Tensor:
        chosen = self._chosen(box).unsqueeze(1).expand(*rows.shape, 1).flatten(0, 1)
        shape = box.low.shape[1:]
        (spread,) = transposed(
            lambda values: self.groups(values, 0.0).gather(-1, chosen).squeeze(-1), rows.flatten(0, 1), [shape]
        )
        return spread.view(*rows.shape[:2], *shape)

    def _chosen(self, box: Box) -> Tensor:
        return self.groups(box.low, -torch.inf).argmax(-1, keepdim=True)


def pooling_windows(
    kernel: list[int], stride: list[int], padding: list[int], dilation: list[int], ceil: bool
) -> Callable[[Tensor, float], Tensor]:
    """For `Largest`: the windows of a max-pooling layer."""

    def groups(values: Tensor, outside: float) -> Tensor:
        sizes = F.max_pool2d(values[:1, :1], kernel, stride, padding, dilation, ceil).shape[2:]
        reach = [
            (count - 1) * step + spread * (width - 1) + 1
            for count, step, spread, width in zip(sizes, stride, dilation, kernel, strict=True)
        ]
        bottom, right = (
            max(need - size - pad, 0) for need, size, pad in zip(reach, values.shape[2:], padding, strict=True)
        )
        padded = F.pad(values, (padding[1], right, padding[0], bottom), value=outside)
        # A lowered window may end before the map does.
        padded = padded[:, :, : reach[0], : reach[1]]
        windows = F.unfold(padded, tuple(kernel), tuple(dilation), 0, tuple(stride))
        return windows.reshape(len(values), values.shape[1], -1, *sizes).movedim(2, -1)

    return groups


def _beside(box: Box, slopes: Tensor) -> tuple[Tensor, Tensor]:
    """The box's ends, shaped to meet slopes that differ from row to row."""
    if slopes.ndim == box.low.ndim:
        return box.low, box.high
    return box.low.unsqueeze(1), box.high.unsqueeze(1)


def _chord(low: Tensor, high: Tensor, curve: Callable[[Tensor], Tensor]) -> Line:
    first, last = curve(low), curve(high)
    width = high - low
    level = width <= LEAST_WIDTH
    slope = torch.where(level, 0.0, (last - first) / torch.where(level, 1.0, width))
    return Line(slope, last - slope * high)


def _below_tanh(low: Tensor, high: Tensor) -> Line:
    """The chord where the curve bends downwards from its start on, else a tangent that stays below its end."""
    chord = _chord(low, high, torch.tanh)
    chord = Line(chord.slope, chord.offset - (chord.slope * high + chord.offset - high.tanh()).clamp_min(0))
    level = high - low <= LEAST_WIDTH
    # From the left, where tangents are level; the middle of a part that bends upwards throughout.
    left, right = low, torch.where(high <= 0, (low + high) / 2, low.clamp_min(0) * 0)
    for _ in range(12):
        middle = (left + right) / 2
        good = (high <= 0) | (_tangent(middle, high) <= high.tanh())
        left, right = torch.where(good, middle, left), torch.where(good, right, middle)
    slope = 1 - left.tanh().square()
    starts_above = _tangent(low, high) > high.tanh()
    use_chord = (starts_above | (low >= 0)) & ~level
    offset = left.tanh() - slope * left
    slope, offset = torch.where(use_chord, chord.slope, slope), torch.where(use_chord, chord.offset, offset)
    return Line(torch.where(level, 0.0, slope), torch.where(level, low.tanh(), offset))


def _tangent(touched: Tensor, at: Tensor) -> Tensor:
    """The height there of the tangent that touches the curve elsewhere."""
    height = touched.tanh()
    return height + (1 - height.square()) * (at - touched)
