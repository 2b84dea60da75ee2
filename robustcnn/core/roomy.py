"""Tensors too large to be held in memory as a matter of course: they lie in a file without a name, and end with it."""

from __future__ import annotations

import math
import mmap
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from weakref import WeakValueDictionary

import torch
from torch import Tensor

from robustcnn.core.atomic_files import explained

LARGE = 1 << 25
"""Bytes from which on a file is worth while."""
ROWS = 512
"""That are looked at together."""
SCATTERED = 16
"""The same for rows that may lie far apart: with each come its neighbours in the file."""


class _Map(mmap.mmap):
    """One that can be known weakly."""


_MAPS: WeakValueDictionary[int, _Map] = WeakValueDictionary()


def roomy(shape: Sequence[int], folder: Path | None = None, dtype: torch.dtype = torch.float32) -> Tensor:
    """Zeros of this shape; large ones lie in a file in the folder (the system's for such files when None)."""
    size = dtype.itemsize * math.prod(shape)
    if size < LARGE:
        return torch.zeros(*shape, dtype=dtype)
    place = Path(tempfile.gettempdir()) if folder is None else folder
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            # All of it is claimed now: a disk that is full says so here, not by a signal later.
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
            else:
                file.truncate(size)
            content = _Map(file.fileno(), size)
    except OSError as problem:
        raise explained(problem, place, size) from problem
    tensor = torch.frombuffer(content, dtype=dtype).view(*shape)
    _MAPS[tensor.untyped_storage().data_ptr()] = content
    return tensor


def rest(tensor: Tensor) -> None:
    """What of the tensor is in memory need not stay there until it is asked for again."""
    content = _MAPS.get(tensor.untyped_storage().data_ptr())
    if content is not None and hasattr(mmap, "MADV_DONTNEED"):
        content.madvise(mmap.MADV_DONTNEED)


def slices(count: int, size: int = ROWS) -> Iterator[slice]:
    """All rows, so many at a time."""
    return (slice(start, min(start + size, count)) for start in range(0, count, size))


def filled(shape: Sequence[int], part: Callable[[slice], Tensor], folder: Path | None = None) -> Tensor:
    """A roomy tensor of which `part` gives the rows."""
    tensor = roomy(shape, folder)
    for rows in slices(shape[0]):
        tensor[rows] = part(rows)
        rest(tensor)
    return tensor
