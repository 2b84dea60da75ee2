"""The same pictures with fewer classes, another size or no colour."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from robustcnn.core.memory import refuse_too_large
from robustcnn.core.plain_data import did_you_mean, shown
from robustcnn.data.resident import ResidentDataset

AT_ONCE = 1 << 27
"""Levels that are floats at a time."""
SMALLER = "ask for fewer pixels, --data.size, or fewer pictures"
LUMA = (0.299, 0.587, 0.114)
"""How bright red, green and blue look to an eye (ITU-R BT.601)."""


def only_classes(data: ResidentDataset, wanted: tuple[str, ...]) -> ResidentDataset:
    """The examples of these classes, labelled 0, 1, ... in the order given; a name may hold several, by commas."""
    known = data.classes
    names = tuple(name for entry in wanted for name in ([entry] if entry in known else entry.split(",")))
    for name in names:
        if name not in known:
            raise ValueError(f"unknown class {shown(name)}{did_you_mean(name, known)}")
    if len(names) < 2 or len(set(names)) < len(names):
        raise ValueError(f"classes must name at least 2 different classes, got {', '.join(names)}")
    label = torch.full((len(known),), -1, dtype=torch.int64, device=data.device)
    label[[known.index(name) for name in names]] = torch.arange(len(names), device=data.device)
    labels = label[data.labels]
    chosen = labels >= 0
    spec = replace(data.spec, classes=names)
    weights = None if data.weights is None else data.weights[chosen]
    return replace(data, images=data.images[chosen], labels=labels[chosen], spec=spec, weights=weights)


def resized(data: ResidentDataset, size: int) -> ResidentDataset:
    """Pictures of size x size pixels (bilinear, smoothed when they shrink)."""
    if data.spec.shape[1:] == (size, size):
        return data
    refuse_too_large(
        f"{len(data):,} pictures of {size} pixels a side", len(data) * data.spec.channels * size**2, SMALLER
    )
    images = _in_chunks(
        data.images, lambda part: F.interpolate(part, (size, size), mode="bilinear", antialias=True), size
    )
    return replace(data, images=images, spec=replace(data.spec, height=size, width=size))


def in_grey(data: ResidentDataset) -> ResidentDataset:
    """One channel, as bright as the colours looked."""
    if data.spec.channels == 1:
        return data
    luma = torch.tensor(LUMA, device=data.device).view(1, 3, 1, 1)
    images = _in_chunks(data.images, lambda part: (part * luma).sum(1, keepdim=True))
    return replace(data, images=images, spec=replace(data.spec, channels=1, mean=(0.0,), std=(1.0,)))


def _in_chunks(images: Tensor, change: Callable[[Tensor], Tensor], size: int = 0) -> Tensor:
    """A change of float levels, some pictures at a time: a float copy of all would be four times the set."""
    pixels = max(images[:1].numel(), images.shape[1] * size**2, 1)
    parts = images.split(min(4096, max(1, AT_ONCE // pixels)))
    return torch.cat([change(part.float()).round().clamp(0, 255).to(torch.uint8) for part in parts])
