"""A data set as one tensor on the device, a byte a pixel where it can be: batches are slices, never files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from robustcnn.core.rows import Draws, Rows
from robustcnn.core.spec import ImageSpec
from robustcnn.data.foreign import Layout, labels_of, pixels_of, stacked
from robustcnn.data.storage import ahead, fits, in_memory, is_large, sent, taken
from robustcnn.data.weights import check_weights

Transform = Callable[[Tensor, torch.Generator], Tensor]
"""Takes a batch as it is stored, gives float pixels in [0, 1]: an augmentation."""


def as_pixels(images: Tensor) -> Tensor:
    """Float pixels in [0, 1]; uint8 is divided by 255, floats pass untouched."""
    return images.to(torch.float32).div_(255) if images.dtype == torch.uint8 else images


def spec_of(images: Tensor, classes: tuple[str, ...]) -> ImageSpec:
    """The spec of a training split: its shape, and its mean and standard deviation per channel."""
    _, channels, height, width = images.shape
    mean, std = (_statistics_of_bytes if images.dtype == torch.uint8 else _statistics_of_floats)(images)
    return ImageSpec(
        channels=channels,
        height=height,
        width=width,
        classes=classes,
        mean=tuple(mean.tolist()),
        std=tuple(std.clamp_min(1e-6).tolist()),
    )


def _statistics_of_bytes(images: Tensor) -> tuple[Tensor, Tensor]:
    # A histogram of 256 levels is exact and needs no float copy of the whole set.
    counts = torch.zeros(images.shape[1], 256, dtype=torch.float64, device=images.device)
    for part in images.split(in_memory(images)):
        counts += torch.stack([torch.bincount(maps.flatten(), minlength=256) for maps in part.unbind(1)])
    levels = torch.arange(256, dtype=torch.float64, device=images.device) / 255
    mean = counts @ levels / counts.sum(1)
    return mean, (counts @ levels.square() / counts.sum(1) - mean.square()).clamp_min(0).sqrt()


def _statistics_of_floats(images: Tensor) -> tuple[Tensor, Tensor]:
    variance, mean = torch.var_mean(images, dim=(0, 2, 3), correction=0)
    return mean, variance.sqrt()


@dataclass(frozen=True, kw_only=True)
class ResidentDataset:
    """Images (N, C, H, W) and labels (N,) int64 on one device, with the spec of their training split.

    Images are uint8; float32 in [0, 1] is for pictures that never were bytes. What does not fit on the device stays in
    the host's memory or in a file, and each batch is fetched while the one before it is worked on.
    """

    images: Tensor
    labels: Tensor
    spec: ImageSpec
    name: str = "data"
    home: torch.device | None = None
    """Where batches go from images that stay where they are; where the images are when None."""
    weights: Tensor | None = None
    """How much each example counts in a training, (N,), with a mean of about 1; all alike when None.

    Judges count every example once."""

    def __post_init__(self) -> None:
        if self.images.dtype not in (torch.uint8, torch.float32) or self.images.ndim != 4:
            raise ValueError(
                "images must be uint8 (or float32 in [0, 1]) of shape (N, C, H, W), got "
                f"{self.images.dtype} {tuple(self.images.shape)}"
            )
        if self.images.is_floating_point() and not ((self.images >= 0) & (self.images <= 1)).all():
            raise ValueError(
                f"float images must lie in [0, 1], got {self.images.min():g} to {self.images.max():g} "
                "(divide levels of 0..255 by 255, or store them as uint8)"
            )
        if tuple(self.images.shape[1:]) != self.spec.shape:
            raise ValueError(f"images are {tuple(self.images.shape[1:])}, but the spec says {self.spec.shape}")
        if self.labels.dtype != torch.int64 or self.labels.shape != self.images.shape[:1]:
            raise ValueError(
                f"labels must be int64 of shape ({len(self.images)},), got {self.labels.dtype} "
                f"{tuple(self.labels.shape)}"
            )
        if len(self.labels) and not (self.labels.min() >= 0 and self.labels.max() < self.spec.num_classes):
            raise ValueError(
                f"labels must lie in 0..{self.spec.num_classes - 1}, got "
                f"{int(self.labels.min())}..{int(self.labels.max())}"
            )
        if self.weights is not None:
            check_weights(self.weights, len(self.labels))

    @classmethod
    def from_arrays(
        cls,
        images: Any,
        labels: Any,
        *,
        classes: Sequence[str] | None = None,
        layout: Layout = "auto",
        name: str = "data",
    ) -> ResidentDataset:
        """Of your own arrays or tensors: uint8 levels or floats in [0, 1]; the layout is told by the shape, or asked.

        Labels are whole numbers, or words; `classes` names them all, in order.
        """
        pixels = pixels_of(images, layout)
        numbers, names = labels_of(labels, classes)
        if len(pixels) != len(numbers):
            raise ValueError(f"images and labels must be as many, got {len(pixels)} and {len(numbers)}")
        return cls(images=pixels, labels=numbers.to(pixels.device), spec=spec_of(pixels, names), name=name)

    @classmethod
    def from_torch(cls, dataset: Any, *, classes: Sequence[str] | None = None, name: str = "data") -> ResidentDataset:
        """Of a PyTorch data set of (picture, label) pairs, its transforms included; it must not normalise."""
        images, labels, found = stacked(dataset)
        return cls.from_arrays(images, labels, classes=classes or found, layout="NCHW", name=name)

    @classmethod
    def from_folder(cls, path: Path | str, *, size: int = 32, framing: str = "crop") -> ResidentDataset:
        """Of a folder with one folder of pictures a class; `framing` is crop (the middle) or squash (the whole)."""
        # By name, because readers of files stand on this class.
        read: Any = import_module("robustcnn.data.sets.folder").read_classes
        data: ResidentDataset = read(Path(path), size=size, framing=framing)
        return replace(data, spec=spec_of(data.images, data.classes), name=str(path))

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def device(self) -> torch.device:
        return self.home or self.images.device

    @property
    def classes(self) -> tuple[str, ...]:
        return self.spec.classes

    @property
    def counts(self) -> Tensor:
        """How many examples each class has."""
        return torch.bincount(self.labels, minlength=self.spec.num_classes)

    @cached_property
    def fingerprint(self) -> str:
        """Sixteen hex digits that change with any pixel, label or their order."""
        digest = hashlib.sha256(repr((self.spec.classes, tuple(self.images.shape))).encode())
        weights = () if self.weights is None else (self.weights,)
        for part in (*self.images.split(in_memory(self.images)), self.labels, *weights):
            # Not tobytes: a copy of the whole set is not needed.
            digest.update(part.cpu().contiguous().numpy())
        return digest.hexdigest()[:16]

    def to(self, device: torch.device | str) -> ResidentDataset:
        """On a device; images that are no small part of its memory, or lie in a file, stay where they are."""
        home = torch.device(device)
        if self.home is not None or not fits(self.images, home):
            return replace(self, home=home)
        weights = None if self.weights is None else self.weights.to(home)
        return replace(self, images=self.images.to(home), labels=self.labels.to(home), weights=weights)

    def subset(self, chosen: Tensor | int) -> ResidentDataset:
        """The examples at these indices, or the first so many."""
        indices = torch.arange(min(chosen, len(self))) if isinstance(chosen, int) else chosen
        indices = indices.to(self.images.device)
        images = taken(self.images, indices)
        weights = None if self.weights is None else self.weights[indices]
        part = replace(self, images=images, labels=self.labels[indices], weights=weights)
        # A small part of what stayed behind can come along.
        return part if self.home is None or is_large(images) else replace(part, home=None).to(self.device)

    def sample(self, count: int, *, generator: torch.Generator) -> ResidentDataset:
        """A stratified random part of `count` examples."""
        return self if count == len(self) else self.subset(self.rows(count, generator=generator))

    def rows(self, count: int, *, generator: torch.Generator) -> Tensor:
        """Which examples `sample` takes, in order."""
        if not 0 < count <= len(self):
            raise ValueError(f"count must lie in 1..{len(self)} ({self.name} has that many), got {count}")
        if count == len(self):
            return torch.arange(count)
        return self._taken(count / len(self), generator)[1]

    def split(self, fraction: float, *, generator: torch.Generator) -> tuple[ResidentDataset, ResidentDataset]:
        """(the rest, a stratified random `fraction`): every class keeps its share to within one example."""
        if not 0 < fraction < 1:
            raise ValueError(f"fraction must lie strictly between 0 and 1, got {fraction:g}")
        rest, taken = self._taken(fraction, generator)
        return self.subset(rest), self.subset(taken)

    def _taken(self, fraction: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        labels = self.labels.cpu()
        shuffled = torch.randperm(len(self), generator=generator)
        by_class = shuffled[labels[shuffled].argsort(stable=True)]
        # Walking the shuffled classes one after another, an example is taken whenever the running share passes a
        # whole number: each class gets floor or ceil of its share, and the total is exact.
        share = (torch.arange(len(self) + 1, dtype=torch.float64) * fraction + 0.5 + 1e-9).floor()
        taken = share[1:] > share[:-1]
        return by_class[~taken].sort().values, by_class[taken].sort().values

    def batches(
        self,
        size: int,
        *,
        generator: torch.Generator | None = None,
        transform: Transform | None = None,
        drop_last: bool = False,
        part: Callable[[int], Rows] | None = None,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Float pixels in [0, 1] and labels; shuffled and transformed when a generator is given.

        `part` says which rows of a batch of so many are wanted; with `Draws` they are what they are in the whole batch.
        """
        batches = self.weighted_batches(size, generator=generator, transform=transform, drop_last=drop_last, part=part)
        return ((images, labels) for images, labels, _ in batches)

    def weighted_batches(
        self,
        size: int,
        *,
        generator: torch.Generator | None = None,
        transform: Transform | None = None,
        drop_last: bool = False,
        part: Callable[[int], Rows] | None = None,
    ) -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
        """As `batches`, with the examples' weights where they have any."""
        if size < 1:
            raise ValueError(f"batch size must be at least 1, got {size}")
        if transform is not None and generator is None:
            raise ValueError("a transform draws random numbers: pass a generator too")
        order = None
        if generator is not None:
            order = torch.randperm(len(self), generator=generator, device=generator.device).to(self.images.device)
        stop = len(self) - len(self) % size if drop_last else len(self)
        fetched = (self._fetched(start, min(start + size, stop), order, part) for start in range(0, stop, size))
        for images, labels, weights, rows in fetched if self.home is None else ahead(fetched):
            if isinstance(generator, Draws) and rows is not None:
                generator.rows = rows
            yield (
                (as_pixels(images) if transform is None or generator is None else transform(images, generator)),
                labels,
                weights,
            )

    def _fetched(
        self, start: int, end: int, order: Tensor | None, part: Callable[[int], Rows] | None
    ) -> tuple[Tensor, Tensor, Tensor | None, Rows | None]:
        """A batch as it is stored, where it is worked on, and which rows of it this process has."""
        rows = None if part is None or order is None else part(end - start)
        stored = (self.images, self.labels, *(() if self.weights is None else (self.weights,)))
        if order is None:
            images, labels, *weights = (each[start:end] for each in stored)
        else:
            chosen = order[start:end] if rows is None else rows.of(order[start:end])
            # index_select: indexing bytes by a tensor takes several times as long.
            images, labels, *weights = (each.index_select(0, chosen) for each in stored)
        if self.home is not None:
            images, (labels, *weights) = sent(images, self.home), [each.to(self.home) for each in (labels, *weights)]
        return images, labels, weights[0] if weights else None, rows
