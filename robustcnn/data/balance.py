"""Rare classes: fewer of the common examples, more of the rare ones, or weights in the loss.

FER2013 holds 4,953 angry faces and 547 disgusted ones. `undersample` leaves 547 + 547, the three that repeat make it
4,953 + 4,953, and `class_weights` says 5500 / (2 * 4953) = 0.56 and 5500 / (2 * 547) = 5.03.

The spec stays that of the training split as it was: validation and test data are seen through it too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from robustcnn.core.plain_data import shown
from robustcnn.data.resident import ResidentDataset, as_pixels

Balance = Literal["none", "undersample", "repeat", "noise", "shift", "weights"]
Change = Callable[[Tensor, torch.Generator], Tensor]


def balanced(data: ResidentDataset, how: Balance, *, generator: torch.Generator) -> ResidentDataset:
    """The set as `how` says; `weights` leaves it alone, as they act in the loss (see `class_weights`)."""
    if how not in _WAYS:
        raise ValueError(f"balance must be one of {', '.join(_WAYS)}, got {shown(how)}")
    return _WAYS[how](data, generator)


def undersample(data: ResidentDataset, *, generator: torch.Generator) -> ResidentDataset:
    """As many random examples of every class as the rarest has."""
    fewest = int(_counts(data).min())
    chosen = [members[:fewest] for members in _shuffled_classes(data, generator)]
    return data.subset(torch.cat(chosen).sort().values)


def repeat(data: ResidentDataset, *, generator: torch.Generator) -> ResidentDataset:
    """All examples, then copies of the rarer classes' until all classes are as large as the largest."""
    return _with_copies(data, lambda images, _: images, generator)


def repeat_noisy(data: ResidentDataset, *, sigma: float = 0.02, generator: torch.Generator) -> ResidentDataset:
    """As `repeat`, with Gaussian noise on the copies; `sigma` in pixel units (1 is from black to white)."""
    if not 0 <= sigma <= 1:
        raise ValueError(f"sigma must lie in [0, 1], got {sigma:g} (did you mean {sigma:g} / 255?)")

    def noisy(images: Tensor, draws: torch.Generator) -> Tensor:
        noise = torch.randn(images.shape, generator=draws, device=draws.device).to(images.device)
        pixels = (as_pixels(images) + sigma * noise).clamp(0, 1)
        return (255 * pixels).round().to(torch.uint8) if images.dtype == torch.uint8 else pixels

    return _with_copies(data, noisy, generator)


def repeat_shifted(data: ResidentDataset, *, pixels: int = 2, generator: torch.Generator) -> ResidentDataset:
    """As `repeat`, each copy moved by up to so many pixels across and down; the edge fills what comes free."""
    height, width = data.spec.shape[1:]
    if not 0 <= pixels < min(height, width):
        raise ValueError(f"pixels must lie in 0..{min(height, width) - 1} for {height}x{width} images, got {pixels}")

    def shifted(images: Tensor, draws: torch.Generator) -> Tensor:
        moves = torch.randint(-pixels, pixels + 1, (2, len(images), 1), generator=draws, device=draws.device)
        down, across = moves.to(images.device)
        rows = (torch.arange(height, device=images.device) - down).clamp(0, height - 1)
        columns = (torch.arange(width, device=images.device) - across).clamp(0, width - 1)
        which = torch.arange(len(images), device=images.device)
        moved = images[which[:, None, None], :, rows[:, :, None], columns[:, None, :]]
        return moved.permute(0, 3, 1, 2)

    return _with_copies(data, shifted, generator)


def class_weights(data: ResidentDataset) -> Tensor:
    """One weight a class, inverse to its frequency; the mean over all examples is 1."""
    counts = _counts(data)
    return len(data) / (len(counts) * counts.float())


def _with_copies(data: ResidentDataset, change: Change, generator: torch.Generator) -> ResidentDataset:
    most = int(_counts(data).max())
    extra = torch.cat([_cycled(members, most - len(members)) for members in _shuffled_classes(data, generator)])
    # Some thousands at a time, as noise is drawn in floats.
    copies = [change(data.images[part], generator) for part in extra.split(4096)]
    images = torch.cat([data.images, *copies])
    weights = None if data.weights is None else torch.cat([data.weights, data.weights[extra]])
    return replace(data, images=images, labels=torch.cat([data.labels, data.labels[extra]]), weights=weights)


def _cycled(members: Tensor, count: int) -> Tensor:
    """So many of them, all equally often to within one."""
    return members.repeat(-(-count // len(members)))[:count]


def _shuffled_classes(data: ResidentDataset, generator: torch.Generator) -> list[Tensor]:
    """The indices of each class in random order."""
    order = torch.randperm(len(data), generator=generator, device=generator.device).to(data.device)
    return [order[data.labels[order] == label] for label in range(data.spec.num_classes)]


def _counts(data: ResidentDataset) -> Tensor:
    counts = data.counts
    if empty := [name for name, count in zip(data.classes, counts.tolist(), strict=True) if not count]:
        raise ValueError(f"{data.name} has no examples of {', '.join(empty)}: leave the class out or add some")
    return counts


_WAYS: dict[str, Callable[[ResidentDataset, torch.Generator], ResidentDataset]] = {
    "none": lambda data, _: data,
    "undersample": lambda data, generator: undersample(data, generator=generator),
    "repeat": lambda data, generator: repeat(data, generator=generator),
    "noise": lambda data, generator: repeat_noisy(data, generator=generator),
    "shift": lambda data, generator: repeat_shifted(data, generator=generator),
    "weights": lambda data, _: data,
}
