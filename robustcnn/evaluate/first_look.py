"""Does a model answer at all: in a time that can be waited for, and with memory that there is?"""

from __future__ import annotations

import ctypes
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from statistics import median_low
from threading import Thread
from typing import ClassVar

import torch
from torch import Tensor, nn

from robustcnn.core.runtime import evaluating, out_of_memory
from robustcnn.fast.plain_view import check_takes

PATIENCE = 60.0
"""Seconds for one image, the first that the model is shown: all that it loads or compiles included."""
SHARE = 0.75
"""Of the memory that is free: what the answer to one image may take."""
A_THREAD = 80 << 20
"""Bytes of addresses that the C library sets aside for a thread, used or not."""
CALLS = 6
"""One after the other, the first of which may keep what it likes."""
KEPT = 16 << 20
"""Bytes that every further call may keep; a model that keeps more ends with the machine's memory."""
_HEAP = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"


def first_look(model: nn.Module, image: Tensor, *, again: bool = True) -> float:
    """Seconds that it takes for one image; what never answers or takes all memory is refused in one line.

    Without `again` it is asked once only, as one is who pays by the query.
    """
    start = time.perf_counter()
    _in_time(model, image)
    seconds = time.perf_counter() - start
    if again and image.device.type == "cpu" and seconds < PATIENCE / CALLS:
        _refuse_growth(model, image)
    return seconds


def _in_time(model: nn.Module, image: Tensor) -> None:
    """In a thread of its own, which can be left behind."""
    problems: list[BaseException] = []

    def ask() -> None:
        try:
            check_takes(model, image.clone())
        except BaseException as problem:  # of any kind: it is for the caller to raise
            problems.append(problem)

    asking = Thread(target=ask, daemon=True)
    with evaluating(model), _memory_bounded(image.device):
        asking.start()
        asking.join(PATIENCE)
    if asking.is_alive():
        raise ValueError(
            f"the model has not answered within {PATIENCE:g} s for one image, and would be asked many thousand "
            "times (does it sleep, wait for input, or loop?)"
        )
    if not problems:
        return
    if isinstance(problems[0], Exception) and out_of_memory(problems[0]):
        raise ValueError("the model takes more memory than there is for one image") from problems[0]
    raise problems[0]


def _refuse_growth(model: nn.Module, image: Tensor) -> None:
    """Most calls keep more: that is told of before the machine's memory is used up.

    Most, not each: whatever else the process gives back meanwhile would hide what one call keeps.
    """
    held, start = [], time.perf_counter()
    with torch.no_grad(), torch.random.fork_rng(devices=[]), evaluating(model):
        for _ in range(CALLS):
            model(image.clone())
            held.append((_resident(), _handed_out()))
            if time.perf_counter() - start > PATIENCE / CALLS:
                return
    kept = max(median_low(after - before for before, after in pairwise(each)) for each in zip(*held[1:], strict=True))
    if kept > KEPT:
        raise ValueError(
            f"the model keeps {kept >> 20} MB more with every image that it is shown, and would be asked many thousand "
            "times (does it collect what it works out in a list?)"
        )


def _resident() -> int:
    """Bytes that this process has in memory, as far as the system tells."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
    except (OSError, IndexError, ValueError):
        return 0


class _Heap(ctypes.Structure):
    """glibc's `struct mallinfo2`."""

    _fields_: ClassVar = [(name, ctypes.c_size_t) for name in _HEAP.split()]


def _handed_out() -> int:
    """Bytes that glibc has handed out; what it hands out anew of what was given back before does not show elsewhere."""
    ask = getattr(ctypes.CDLL(None), "mallinfo2", None) if sys.platform == "linux" else None
    if ask is None:
        return 0
    ask.restype = _Heap
    heap = ask()
    return int(heap.uordblks) + int(heap.hblkhd)


def _free() -> int | None:
    """Bytes that this machine could still give."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration, IndexError, ValueError):
        return None


@contextmanager
def _memory_bounded(device: torch.device) -> Iterator[None]:
    """Who takes too much hears it from the allocator, and is not ended by the system; devices keep own accounts."""
    free = _free()
    if sys.platform == "win32" or free is None or device.type != "cpu":
        yield
        return
    import resource

    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    most = [
        taken + int(SHARE * free) + A_THREAD * torch.get_num_threads(),
        *(limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY),
    ]
    resource.setrlimit(resource.RLIMIT_AS, (min(most), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
