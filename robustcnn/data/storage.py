"""Pictures that do not fit: they stay on the host or in a file, and are fetched a batch ahead."""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch
from torch import Tensor

from robustcnn.core.roomy import LARGE, rest, roomy

T = TypeVar("T")
SHARE = 0.5
"""Of a GPU's free memory, that the pictures of one set may take."""


def is_large(images: Tensor) -> bool:
    return images.nbytes >= LARGE


def in_memory(images: Tensor) -> int:
    """How many of the images are looked at together where all of them would be too many."""
    return max(1, LARGE // max(images.element_size() * math.prod(images.shape[1:]), 1))


def fits(images: Tensor, device: torch.device) -> bool:
    """Whether the images may move to the device; to the host they always may."""
    if device.type != "cuda" or images.is_cuda:
        return True
    free, _ = torch.cuda.mem_get_info(device)
    return images.nbytes <= SHARE * free


def taken(images: Tensor, rows: Tensor) -> Tensor:
    """The images of these rows, in a file of their own where they are many and come from the host."""
    size = len(rows) * images.element_size() * math.prod(images.shape[1:])
    if images.is_cuda or size < LARGE:
        return images[rows]
    found = roomy((len(rows), *images.shape[1:]), dtype=images.dtype)
    start = 0
    for part in rows.split(in_memory(images)):
        found[start : start + len(part)] = images.index_select(0, part)
        start += len(part)
        rest(found)
    return found


def sent(images: Tensor, device: torch.device) -> Tensor:
    """A batch on its way to the device, which need not be waited for."""
    return images.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else images.to(device)


def ahead(batches: Iterator[T]) -> Iterator[T]:
    """The same, each fetched by a thread while the one before it is worked on."""
    end = object()
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, batches, end)
        while (batch := coming.result()) is not end:
            coming = pool.submit(next, batches, end)
            yield batch  # type: ignore[misc]
