"""A GPU's clock, its peak, and what makes its host wait."""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable

import torch

Way = Callable[[], object]


def seconds(ways: dict[str, Way], device: torch.device, rounds: int) -> dict[str, float]:
    """Median wall-clock time of each, turn and turn about, after one round that does not count."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, work in ways.items():
            done(device)
            start = time.perf_counter()
            work()
            done(device)
            if number:
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(each) for name, each in times.items()}


def done(device: torch.device) -> None:
    """Wait until all that was asked of the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peak(device: torch.device, kind: torch.dtype, *, size: int) -> float:
    """Operations a second of a large square matrix product."""
    left, right = (torch.randn(size, size, device=device, dtype=kind) for _ in range(2))
    spent = seconds({"mm": lambda: left @ right}, device, rounds=9)["mm"]
    return 2 * size**3 / spent


def waits(work: Way, device: torch.device) -> int:
    """How often the host asked the device for a number and waited; 0 on a CPU, where nobody waits."""
    if device.type != "cuda":
        work()
        return 0
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            work()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return sum("synchroniz" in str(each.message) for each in said)
