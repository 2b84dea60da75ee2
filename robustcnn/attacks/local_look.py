"""Logits of images that changed in one small window: only what sees the window is computed anew.

Most of Square's windows are a few pixels large, and few pixels of the first maps see them. From the layer on where
the change has spread to most of the map, the network is computed in full.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from robustcnn.attacks.base import exact_logits
from robustcnn.attacks.view_layers import InputConvolution, ScaleShift
from robustcnn.attacks.views import CoarseView, FastView
from robustcnn.windows import Pair, Window, window_of

Layer = Callable[[Tensor], Tensor]
Span = tuple[int, int]
"""Rows or columns: the first, and the one behind the last."""
Place = tuple[Span, Span]
"""Rows and columns of a window."""

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
"""Kinds of layers to which every pixel is alone; others of the kind say so by an attribute `pointwise`."""


def local_look(model: nn.Module, images: Tensor, side: int) -> LocalLook | None:
    """Remembers `images`, to look at them with windows of at most `side` pixels changed; None where it would save
    nothing, or say something else than the model.

    That is for fast views of chains of convolutions, poolings and pointwise layers, up to the first other layer.
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
        one, extent = stage.in_full(one), stage.spread(extent)
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
    look = LocalLook(lead, stages, layers, maps, model.chunk or len(images))
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

    def spread(self, extent: Pair) -> Pair:
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

    def part(self, maps: Tensor, place: Place) -> Tensor:
        """The part of the result at that place."""
        inside, missing = [], []
        for (start, stop), length, kernel, stride, padding, dilation in zip(
            place, maps.shape[2:], *self.window, strict=True
        ):
            first = start * stride - padding
            behind = (stop - 1) * stride - padding + dilation * (kernel - 1) + 1
            inside.append((max(first, 0), min(behind, length)))
            missing.append((max(-first, 0), max(behind - length, 0)))
        seen = at(maps, (inside[0], inside[1])).contiguous(memory_format=torch.channels_last)
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
        assert isinstance(layer, nn.Conv2d | InputConvolution)
        groups = getattr(layer, "groups", 1)
        return F.conv2d(seen, layer.weight, layer.bias, window.stride, 0, window.dilation, groups)


@dataclass(slots=True)
class LocalLook:
    """Shows a change of all images in one place, and keeps it for those that are told to `settle` for it."""

    lead: list[Layer]
    stages: list[Stage]
    rest: list[Layer]
    maps: list[Tensor]
    """What each stage is shown, and what the rest is."""
    chunk: int
    replaced: list[tuple[Place, Tensor]] = field(default_factory=list)
    """In each of the maps: where the last change is, and what was there before."""

    def __call__(self, pixels: Tensor, place: Place) -> Tensor:
        """Logits of the remembered images with these `pixels` (N, C, h, w) in their place; then `settle`."""
        part = _through(self.lead, pixels.clone())
        self.replaced = [_paste(self.maps[0], part, place)]
        for stage, maps, result in zip(self.stages, self.maps, self.maps[1:], strict=False):
            place = stage.seers(place, result.shape[2:])
            self.replaced.append(_paste(result, stage.part(maps, place), place))
        # Layers may work in place.
        return torch.cat([_through(self.rest, part.clone()) for part in self.maps[-1].split(self.chunk)])

    def settle(self, kept: Tensor, stay: Tensor | None) -> None:
        """Take the last change back where it is not `kept` (N,), and forget the images that do not `stay`."""
        for maps, (place, before) in zip(self.maps, self.replaced, strict=True):
            changed = at(maps, place)
            changed.copy_(torch.where(kept[:, None, None, None], changed, before))
        if stay is not None:
            self.maps = [maps[stay] for maps in self.maps]


def _chain(model: Layer) -> Iterator[Layer]:
    """The layers one after the other, as far as it is sure that they run so."""
    steps = model if type(model) is nn.Sequential else model.steps() if hasattr(model, "steps") else None
    if steps is None:
        yield model
    else:
        for step in steps:
            yield from _chain(step)


def _is_pointwise(layer: Layer) -> bool:
    return type(layer) in POINTWISE or getattr(layer, "pointwise", False)


def _window(layer: nn.Module, size: Pair) -> Window | None:
    """The window of a layer whose result can be computed in part."""
    if type(layer) is InputConvolution:
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


def _agree(look: LocalLook, model: nn.Module, images: Tensor, side: int) -> bool:
    """Whether look and model say the same of four images that changed a window in the middle."""
    top, left = ((length - side) // 2 for length in images.shape[2:])
    place = ((top, top + side), (left, left + side))
    changed = images.clone()
    _paste(changed, at(images.flip(2, 3), place), place)
    logits = look(at(changed, place), place)[:PROBE]
    look.settle(torch.zeros(len(images), dtype=torch.bool), None)
    expected = exact_logits(model, changed[:PROBE])
    return bool((logits - expected).norm() <= AGREED * expected.norm())


def _through(layers: Iterable[Layer], maps: Tensor) -> Tensor:
    for layer in layers:
        maps = layer(maps)
    return maps


def at(maps: Tensor, place: Place) -> Tensor:
    """The part of maps (N, C, H, W) that lies there, as a view."""
    (top, bottom), (left, right) = place
    return maps[:, :, top:bottom, left:right]


def _paste(maps: Tensor, part: Tensor, place: Place) -> tuple[Place, Tensor]:
    """Put the part in its place; where that is, and what was there."""
    there = at(maps, place)
    before = there.clone()
    there.copy_(part)
    return place, before
