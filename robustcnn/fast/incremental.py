"""Logits of images that changed in one small window: only what sees the window is computed anew.

Most of Square's windows are a few pixels large, and few pixels of the first maps see them. From the layer on where
the change has spread to most of the map, the network is computed in full.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from robustcnn.core.conv_arithmetic import Pair, Place, Span, Window, crop, window_of
from robustcnn.core.layer_kinds import Chained, Pointwise
from robustcnn.fast.layers import InputConvolution, ScaleShift
from robustcnn.fast.view import CoarseView, FastView, exact_logits
from robustcnn.fast.winograd import Winograd

Layer = Callable[[Tensor], Tensor]

WORTH = 0.6
"""Share of a map up to which a part of it is computed sooner than all."""
MEMORY = 1 << 29
"""Bytes of maps that may be remembered."""
PROBE, AGREED = 4, 1e-4
"""Images that a look is tried on, and the largest relative error of their logits."""
POINTWISE = {
    *(nn.Identity, nn.Dropout, nn.ReLU, nn.LeakyReLU, nn.ELU, nn.SiLU, nn.GELU, nn.Softplus, nn.Tanh, nn.Sigmoid),
    ScaleShift,
}
"""Kinds of layers to which every pixel is alone, beside those that are `Pointwise` by their type."""


def incremental_forward(model: nn.Module, images: Tensor, side: int) -> IncrementalForward | None:
    """Remembers `images`, to look at them with windows of at most `side` pixels changed; None where it would save
    nothing, or say something else than the model.

    That is for fast views of chains of convolutions, poolings and pointwise layers, up to the first other layer or
    into a linear one.
    """
    # A GPU would wait for many small kernels.
    if not isinstance(model, FastView) or images.is_cuda:
        return None
    images = images.contiguous(memory_format=torch.channels_last)
    layers = list(_chain(model.plain if isinstance(model, CoarseView) else model.search))
    lead = list(itertools.takewhile(_is_pointwise, layers))
    del layers[: len(lead)]
    one, stages, extent = _through(lead, images[:1].clone()), list[Stage](), (side, side)
    memory = one.nbytes
    while layers and (stage := Stage.first_of(layers, one)):
        one, extent = stage.in_full(one), stage.widened(extent)
        if extent[0] * extent[1] > WORTH * one[0, 0].numel():
            break
        memory += one.nbytes
        del layers[: 1 + len(stage.behind)]
        stages.append(stage)
    if not stages or memory * len(images) > MEMORY:
        return None
    maps = [_through(lead, images.clone())]
    for stage in stages:
        maps.append(stage.in_full(maps[-1]))
    if sums := Sums.first_of(layers, maps[-1]):
        del layers[:2]
    look = IncrementalForward(lead, stages, sums, layers, maps, model.chunk or len(images))
    return look if _agree(look, model, images, side) else None


@dataclass(frozen=True, slots=True)
class Stage:
    """A layer with a window, and the pointwise ones behind it."""

    layer: nn.Module
    window: Window
    behind: list[Layer]

    @classmethod
    def first_of(cls, layers: list[Layer], maps: Tensor) -> Stage | None:
        """The stage that a chain which is shown `maps` begins with, if it is one that can be done in part."""
        layer = layers[0]
        if not isinstance(layer, nn.Module) or not (window := _window(layer, (maps.shape[2], maps.shape[3]))):
            return None
        return cls(layer, window, list(itertools.takewhile(_is_pointwise, layers[1:])))

    def in_full(self, maps: Tensor) -> Tensor:
        return _through([self.layer, *self.behind], maps)

    def widened(self, extent: Pair) -> Pair:
        """How many neighbours at most see any of that many."""
        down, across = (
            (length - 1 + dilation * (kernel - 1)) // stride + 1
            for length, kernel, stride, _, dilation in zip(extent, *self.window, strict=True)
        )
        return (down, across)

    def seers(self, place: Place, size: Iterable[int]) -> Place:
        """Where in a result of that size the changed place is seen; at the least one pixel."""
        spans = []
        for (start, stop), length, kernel, stride, padding, dilation in zip(place, size, *self.window, strict=True):
            first = min(max(0, -((dilation * (kernel - 1) - start - padding) // stride)), length - 1)
            spans.append((first, max(first + 1, min(length, (stop - 1 + padding) // stride + 1))))
        return (spans[0], spans[1])

    def part(self, maps: Tensor, changed: Change, place: Place) -> Tensor:
        """The part of the result at that place, for maps with a change."""
        inside, missing = [], []
        for (start, stop), length, kernel, stride, padding, dilation in zip(
            place, maps.shape[2:], *self.window, strict=True
        ):
            first = start * stride - padding
            behind = (stop - 1) * stride - padding + dilation * (kernel - 1) + 1
            inside.append((max(first, 0), min(behind, length)))
            missing.append((max(-first, 0), max(behind - length, 0)))
        seen = crop(maps, (inside[0], inside[1])).clone(memory_format=torch.channels_last)
        changed.cut(inside[0], inside[1]).paste(seen)
        if any(itertools.chain(*missing)):
            filling = -torch.inf if isinstance(self.layer, nn.MaxPool2d) else 0.0
            seen = F.pad(seen, (*missing[1], *missing[0]), value=filling)
        return _through(self.behind, self._without_padding(seen))

    def _without_padding(self, seen: Tensor) -> Tensor:
        layer, window = self.layer, self.window
        if isinstance(layer, nn.MaxPool2d):
            return F.max_pool2d(seen, window.kernel, window.stride, 0, window.dilation)
        if isinstance(layer, nn.AvgPool2d):
            return F.avg_pool2d(seen, window.kernel, window.stride)
        assert isinstance(layer, nn.Conv2d | InputConvolution | Winograd)
        groups = getattr(layer, "groups", 1)
        return F.conv2d(seen, layer.weight, layer.bias, window.stride, 0, window.dilation, groups)


class Change(NamedTuple):
    """What stands in one place of all maps."""

    place: Place
    part: Tensor

    def paste(self, maps: Tensor) -> None:
        crop(maps, self.place).copy_(self.part)

    def cut(self, rows: Span, columns: Span) -> Change:
        """As it is seen in these rows and columns of the maps; nothing of it may be."""
        shown, seen = [], []
        for (start, stop), (first, behind) in zip(self.place, (rows, columns), strict=True):
            begin, end = max(start, first), max(min(stop, behind), start, first)
            shown.append((begin - first, end - first))
            seen.append((begin - start, end - start))
        return Change((shown[0], shown[1]), crop(self.part, (seen[0], seen[1])))


@dataclass(slots=True)
class Sums:
    """A linear layer that is shown all of the maps; only what changed is added."""

    weight: Tensor
    """(H, W, C, K), so that the part of neighbouring pixels lies together."""
    values: Tensor
    """(N, K), for the remembered images."""

    @classmethod
    def first_of(cls, layers: list[Layer], maps: Tensor) -> Sums | None:
        """What a chain which is shown `maps` begins with, if it is that."""
        flatten, linear = [*layers, None, None][:2]
        if not isinstance(flatten, nn.Flatten) or (flatten.start_dim, flatten.end_dim) != (1, -1):
            return None
        if type(linear) is not nn.Linear or linear.weight.nbytes > MEMORY:
            return None
        weight = linear.weight.unflatten(1, maps.shape[1:]).permute(2, 3, 1, 0).contiguous()
        return cls(weight, linear(flatten(maps)))

    def after(self, change: Change, maps: Tensor) -> Tensor:
        (top, bottom), (left, right) = change.place
        rows = (change.part - crop(maps, change.place)).permute(2, 0, 3, 1)
        values = self.values.clone()
        for row, weight in zip(rows, self.weight[top:bottom, left:right], strict=True):
            values.addmm_(row.flatten(1), weight.flatten(0, 1))
        return values


@dataclass(slots=True)
class IncrementalForward:
    """Shows a change of all images in one place, and keeps it for those that are told to `settle` for it."""

    lead: list[Layer]
    stages: list[Stage]
    sums: Sums | None
    rest: list[Layer]
    maps: list[Tensor]
    """What each stage is shown, and what comes after them is."""
    chunk: int
    changes: list[Change] = field(default_factory=list)
    """The last change, of each of the maps."""
    values: Tensor | None = None
    """The sums after it."""

    def __call__(self, pixels: Tensor, place: Place) -> Tensor:
        """Logits of the remembered images with these `pixels` (N, C, h, w) in their place; then `settle`."""
        # Layers may work in place.
        self.changes = [Change(place, _through(self.lead, pixels.clone()))]
        for stage, maps, result in zip(self.stages, self.maps, self.maps[1:], strict=False):
            place = stage.seers(place, result.shape[2:])
            self.changes.append(Change(place, stage.part(maps, self.changes[-1], place)))
        if self.sums:
            self.values = self.sums.after(self.changes[-1], self.maps[-1])
            shown = self.values.clone()
        else:
            shown = self.maps[-1].clone()
            self.changes[-1].paste(shown)
        return torch.cat([_through(self.rest, few) for few in shown.split(self.chunk)])

    def settle(self, kept: Tensor, stay: Tensor | None) -> None:
        """Keep the last change of those `kept` (N,), and forget the images that do not `stay`."""
        rows = kept.nonzero().flatten()
        for maps, (place, part) in zip(self.maps, self.changes, strict=True):
            crop(maps, place).index_copy_(0, rows, part.index_select(0, rows))
        if self.sums and self.values is not None:
            self.sums.values.index_copy_(0, rows, self.values.index_select(0, rows))
        if stay is not None:
            self.maps = [maps[stay] for maps in self.maps]
            if self.sums:
                self.sums.values = self.sums.values[stay]


def _chain(model: Layer) -> Iterator[Layer]:
    """The layers one after the other, as far as it is sure that they run so."""
    steps = model if type(model) is nn.Sequential else model.steps() if isinstance(model, Chained) else None
    if steps is None:
        yield model
    else:
        for step in steps:
            yield from _chain(step)


def _is_pointwise(layer: Layer) -> bool:
    return type(layer) in POINTWISE or isinstance(layer, Pointwise)


def _window(layer: nn.Module, size: Pair) -> Window | None:
    """The window of a layer whose result can be computed in part."""
    if isinstance(layer, InputConvolution | Winograd):
        return Window((layer.weight.shape[2], layer.weight.shape[3]), padding=layer.padding)
    in_part = (
        (type(layer) is nn.Conv2d and layer.padding_mode == "zeros" and not isinstance(layer.padding, str))
        or (type(layer) is nn.MaxPool2d and not layer.ceil_mode and not layer.return_indices)
        or (
            type(layer) is nn.AvgPool2d
            and not layer.ceil_mode
            and layer.padding in (0, (0, 0))
            and not layer.divisor_override
        )
    )
    return window_of(layer, size) if in_part else None


def _agree(look: IncrementalForward, model: nn.Module, images: Tensor, side: int) -> bool:
    """Whether look and model say the same of four images that changed a window in the middle."""
    top, left = ((length - side) // 2 for length in images.shape[2:])
    place = ((top, top + side), (left, left + side))
    changed = images.clone()
    Change(place, crop(images.flip(2, 3), place)).paste(changed)
    logits = look(crop(changed, place), place)[:PROBE]
    expected = exact_logits(model, changed[:PROBE])
    return bool((logits - expected).norm() <= AGREED * expected.norm())


def _through(layers: Iterable[Layer], maps: Tensor) -> Tensor:
    for layer in layers:
        maps = layer(maps)
    return maps
