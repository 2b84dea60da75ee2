"""Some rows of a batch, and random numbers that are those of the whole batch whoever works on which rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from robustcnn.core.runtime import checked_seed


@dataclass(frozen=True, kw_only=True, slots=True)
class Rows:
    """Every `step`-th row of a batch of `total`, from row `first` on.

    In steps, so that the rows of a smaller batch are the first of those of a larger one. Where `first` lies behind the
    end, the last row stands in, with no weight: all processes have to take part in what they do together.
    """

    first: int = 0
    step: int = 1
    total: int

    @property
    def count(self) -> int:
        """Rows that count."""
        return len(range(self.first, self.total, self.step))

    @property
    def weight(self) -> float:
        """Their share of the batch."""
        return self.count / self.total

    @property
    def places(self) -> slice:
        return slice(min(self.first, self.total - 1), None, self.step)

    def of(self, values: Tensor) -> Tensor:
        """These rows of a tensor that holds them all."""
        return values if self.step == 1 else values[self.places]

    def parts(self, count: int) -> list[Rows]:
        """The same rows in at most so many parts; as many whatever `first` is."""
        count = min(count, -(-self.total // self.step))
        return [
            Rows(first=self.first + self.step * part, step=self.step * count, total=self.total) for part in range(count)
        ]


class Draws(torch.Generator):
    """A generator for whoever works on some rows of a batch: `drawn` gives these rows of the whole batch's numbers."""

    rows: Rows | None = None
    weights: Tensor | None = None
    """How much each row of the whole batch counts, for losses on which its rows meet; all alike when None."""

    @classmethod
    def seeded(cls, seed: int, device: torch.device | str = "cpu") -> Draws:
        generator = cls(device)
        generator.manual_seed(checked_seed(seed))
        return generator


def rows_of(generator: torch.Generator, count: int) -> Rows:
    """Those of a batch of `count` that are worked on with this generator; all of them with an ordinary one."""
    rows = generator.rows if isinstance(generator, Draws) else None
    return rows or Rows(total=count)


def drawn(
    kind: Callable[..., Tensor], shape: tuple[int, ...], generator: torch.Generator, dtype: torch.dtype | None = None
) -> Tensor:
    """Random numbers for a batch, on the generator's device: `kind` is torch.rand or another that takes a shape."""
    rows = rows_of(generator, shape[0])
    here = rows.step > 1 and shape[0] == max(rows.count, 1)
    whole = (rows.total, *shape[1:]) if here else shape
    numbers = kind(whole, generator=generator, dtype=dtype, device=generator.device)
    return rows.of(numbers) if here else numbers
