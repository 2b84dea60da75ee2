"""A share of examples, and how sure it is."""

from __future__ import annotations

import math
from dataclasses import dataclass

Z = 1.959963984540054
"""Standard normal deviations that hold 95 %."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """A share of examples, with the 95 % interval of Wilson (1927); `value` is None where there was none to count."""

    hits: int
    count: int
    value: float | None
    low: float
    high: float

    @classmethod
    def of(cls, hits: int, count: int) -> Share:
        """`hits` of `count` examples."""
        if not 0 <= hits <= count:
            raise ValueError(f"hits must lie in 0..{count} (the count), got {hits}")
        if not count:
            return cls(hits=0, count=0, value=None, low=0.0, high=1.0)
        value, square = hits / count, Z * Z / count
        middle = value + square / 2
        reach = Z * math.sqrt(value * (1 - value) / count + square / (4 * count))
        low, high = ((middle + sign * reach) / (1 + square) for sign in (-1, 1))
        # Exact at the ends, where rounding would leave a crumb.
        return cls(hits=hits, count=count, value=value, low=low if hits else 0.0, high=high if hits < count else 1.0)

    def __str__(self) -> str:
        if self.value is None:
            return UNDEFINED
        return f"{100 * self.value:.1f} % [{100 * self.low:.1f}, {100 * self.high:.1f}]"


UNDEFINED = "undefined"
"""What is printed for a figure that the sample cannot tell, such as the recall of a class that it lacks."""
