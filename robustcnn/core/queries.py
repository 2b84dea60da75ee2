"""What it costs to attack a victim that can only be asked."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Queries:
    """What an attack on a black box cost, in images shown to it."""

    median: float | None
    """Of the successes, up to the first in the ball; None where there was none."""
    total: int
    """Of all examples that were attacked, smaller balls of the same norm included; what the judge asks is not in it."""
    curve: tuple[tuple[float, float], ...]
    """(queries an example, robust accuracy after so many): a step down at each success, thinned out for drawing."""

    def left_after(self, queries: int) -> float:
        """Robust accuracy after so many queries an example."""
        return [accuracy for count, accuracy in self.curve if count <= queries][-1]
