"""What every training loop does alike: batches with a bar, and numbers that are read now and then."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar, get_args

import torch
from torch import Tensor
from tqdm import tqdm

from robustcnn.core.ranks import Ranks
from robustcnn.core.runtime import Precision

B = TypeVar("B")


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """How one pass over the data is cut into batches."""

    batch_size: int
    drop_last: bool
    batches: int
    last: int
    """Examples in the last of them."""

    @classmethod
    def of(cls, examples: int, batch_size: int) -> Pace:
        size = min(batch_size, examples)
        # Batch norm cannot normalise a single example, so a last batch of one is left out.
        alone = size > 1 and examples % size == 1
        batches = examples // size + (examples % size > alone)
        last = size if alone or not examples % size else examples % size
        return cls(batch_size=size, drop_last=alone, batches=batches, last=last)

    def sizes(self) -> Iterator[int]:
        """Examples in each batch."""
        yield from (self.batch_size for _ in range(self.batches - 1))
        yield self.last

    def shown(self, batches: Iterable[B], epoch: int, *, progress: bool) -> Iterator[B]:
        """The batches, with a bar where there is a terminal to show it on."""
        # tqdm's None: shown on a terminal, hidden in a log.
        hidden = None if progress else True
        return iter(tqdm(batches, f"epoch {epoch}", total=self.batches, leave=False, disable=hidden))


class LateReader:
    """The mean of one row of numbers a step.

    Reading a number waits for the device: at every step on a CPU, where that is free, now and then on a GPU.
    """

    def __init__(self, device: torch.device, check: Callable[[list[list[float]], int], None]) -> None:
        self.patience = 1 if device.type == "cpu" else 50
        self.check = check
        self._unread: list[Tensor] = []
        self._read = 0
        self._totals: list[float] = []

    def add(self, row: Tensor) -> None:
        """One step's numbers, (K,); `check` gets those of some steps, and the number of the first, counted from 0."""
        self._unread.append(row.detach())
        if len(self._unread) == self.patience:
            self._take()

    def means(self) -> list[float]:
        """Over all steps until now."""
        self._take()
        return [total / self._read for total in self._totals]

    def _take(self) -> None:
        if not self._unread:
            return
        rows: list[list[float]] = torch.stack(self._unread).double().tolist()
        self.check(rows, self._read)
        sums = [sum(column) for column in zip(*rows, strict=True)]
        before = self._totals or [0.0] * len(sums)
        self._totals = [total + each for total, each in zip(before, sums, strict=True)]
        self._read += len(rows)
        self._unread.clear()


def check_precision(precision: str, allowed: tuple[str, ...] = get_args(Precision)) -> None:
    """Refuse one that there is not."""
    if precision not in allowed:
        raise ValueError(f"precision must be one of {', '.join(allowed)}, got {precision!r}")


def check_shares(examples: int, batch_size: int | str, ranks: Ranks) -> None:
    """Refuse a batch of which a process would have nothing."""
    largest = examples if batch_size == "full" else min(int(batch_size), examples)
    if largest < ranks.world:
        raise ValueError(
            f"batch_size is that of all processes together and must be at least their number, {ranks.world}, got "
            f"{largest} (a larger --fit.batch-size, or fewer processes)"
        )
