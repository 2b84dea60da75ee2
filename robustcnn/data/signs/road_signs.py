"""The embedded data set `signs`: twelve road signs drawn by ourselves, any number of them, from any seed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from math import isfinite
from pathlib import Path

import torch
from torch import Tensor

from robustcnn.core.memory import refuse_too_large
from robustcnn.core.plain_data import did_you_mean
from robustcnn.core.runtime import seeded
from robustcnn.data.resident import ResidentDataset, spec_of
from robustcnn.data.sets import image_cache
from robustcnn.data.signs.scenes import scene
from robustcnn.data.signs.shapes import SHAPES, atlas

SIGNS: tuple[str, ...] = tuple(SHAPES)
NEUTRAL = 0.5
"""The grey behind a front view."""
DRAWING = 1
"""Count up with every change to the pictures: files that an older drawing left in a cache are then passed over."""
PIXELS_AT_ONCE = 2**17
"""Scenes are drawn in parts that fit the processor's cache; another value gives other pictures from the same seed."""


def _check_size(size: int) -> None:
    if not 32 <= size <= 128:
        raise ValueError(f"size must lie in 32..128 pixels (a speed limit cannot be read below), got {size}")


def _check_weights(weights: Sequence[float]) -> None:
    if len(weights) != len(SIGNS):
        raise ValueError(f"weights must be one a sign ({len(SIGNS)}: {', '.join(SIGNS)}), got {len(weights)}")
    if not all(isfinite(weight) and weight >= 0 for weight in weights) or sum(weights) <= 0:
        raise ValueError(f"weights must be finite, not negative and not all 0, got {list(weights)}")


def _check(count: int, size: int, weights: Sequence[float] | None) -> None:
    _check_size(size)
    if count < 1:
        raise ValueError(f"count must be at least 1 picture, got {count}")
    if weights is not None:
        _check_weights(weights)


def _shares(count: int, weights: Sequence[float] | None) -> Tensor:
    """How many pictures each sign gets: its exact share rounded down or up, `count` in all."""
    wanted = torch.tensor(weights or [1.0] * len(SIGNS), dtype=torch.float64)
    exact = wanted / wanted.sum() * count
    shares = exact.floor()
    left = count - int(shares.sum())
    shares[(exact - shares).argsort(descending=True, stable=True)[:left]] += 1
    return shares.long()


def draw(count: int, *, size: int = 32, seed: int = 0, weights: Sequence[float] | None = None) -> tuple[Tensor, Tensor]:
    """Images (N, 3, size, size) uint8 and labels (N,) int64, shuffled; `weights` has one a sign, else all are equal."""
    _check(count, size, weights)
    generator = seeded(seed)
    labels = torch.arange(len(SIGNS)).repeat_interleave(_shares(count, weights))
    labels = labels[torch.randperm(count, generator=generator)]
    colours, masks = atlas(2 * size)
    images = torch.empty(count, 3, size, size, dtype=torch.uint8)
    part = max(1, PIXELS_AT_ONCE // size**2)
    with torch.no_grad():
        for target, kinds in zip(images.split(part), labels.split(part), strict=True):
            target.copy_(scene(colours[kinds], masks[kinds], size=size, generator=generator).mul_(255).round_())
    return images, labels


def _cached(
    root: Path | None, count: int, *, size: int, seed: int, weights: Sequence[float] | None
) -> tuple[Tensor, Tensor]:
    _check(count, size, weights)
    digest = "" if weights is None else "-" + hashlib.sha256(repr([*map(float, weights)]).encode()).hexdigest()[:12]
    path = None if root is None else root / "signs" / f"v{DRAWING}-{size}px-{count}-seed{seed}{digest}.npz"
    known = image_cache.read(path, shape=(count, 3, size, size), classes=len(SIGNS)) if path else None
    if known:
        return known
    images, labels = draw(count, size=size, seed=seed, weights=weights)
    if path:
        image_cache.write(path, images, labels)
    return images, labels


def load_signs(
    root: Path | None,
    *,
    size: int = 32,
    train: int = 12_000,
    test: int = 2_400,
    seed: int = 0,
    weights: Sequence[float] | None = None,
) -> tuple[ResidentDataset, ResidentDataset]:
    """(train, test), drawn once and then kept under `root`; nothing is kept when `root` is None or not writable."""
    _check_size(size)
    refuse_too_large(f"{train + test:,} signs", (train + test) * 3 * size**2, "ask for fewer, --data.drawn")
    # Even seeds train, odd seeds test: no test picture is ever a training picture, whatever the seed.
    images, labels = _cached(root, train, size=size, seed=2 * seed, weights=weights)
    unseen, answers = _cached(root, test, size=size, seed=2 * seed + 1, weights=weights)
    spec = spec_of(images, SIGNS)
    return (
        ResidentDataset(images=images, labels=labels, spec=spec, name="signs"),
        ResidentDataset(images=unseen, labels=answers, spec=spec, name="signs"),
    )


def front_view(name: str, *, size: int = 32) -> tuple[Tensor, Tensor]:
    """One clean sign before grey: the picture (3, size, size) and which of it is sign (1, size, size), in [0, 1]."""
    _check_size(size)
    if name not in SIGNS:
        raise ValueError(f"unknown sign {name!r}{did_you_mean(name, SIGNS)}")
    colours, masks = (part[SIGNS.index(name)] for part in atlas(size))
    return colours * masks + NEUTRAL * (1 - masks), masks.clone()
