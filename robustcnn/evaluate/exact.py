"""Exact intervals and tests: of a share counted by drawing without replacement, and of one that is watched.

A fixed-size interval that is looked at after every batch misses far more often than it says. The anytime-valid ones
here hold at all times together: the ratio of a beta-binomial mixture to the likelihood of the truth is a martingale
that begins at 1, and by Ville's inequality it ever exceeds 1 / alpha with probability alpha at most (Robbins 1970;
Waudby-Smith & Ramdas 2020 for drawing without replacement).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import betaln, gammaln, xlog1py, xlogy

from robustcnn.core.audited import ALPHA

PRIOR = (0.5, 10.0)
"""Of the mixture: a few in a hundred are broken. Any other is as valid, and wider where this one is right."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Counted:
    """`hits` of `drawn`, which were drawn without replacement from `total` (None: from what has no end)."""

    hits: int
    drawn: int
    total: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.hits <= self.drawn:
            raise ValueError(f"hits must lie in 0..{self.drawn} (drawn), got {self.hits}")
        if self.total is not None and self.drawn > self.total:
            raise ValueError(f"drawn must be at most {self.total} (total), got {self.drawn}")


def hits_in_all(seen: Counted, *, alpha: float = ALPHA) -> tuple[int, int]:
    """Interval of the hits among all `total`, exact: both hypergeometric tails at alpha / 2."""
    from scipy.stats import hypergeom  # most of a second, which few evaluations need

    total = _finite(seen)
    least, most = seen.hits, total - (seen.drawn - seen.hits)

    def plausible_above(hits: int) -> bool:
        return bool(hypergeom.sf(seen.hits - 1, total, hits, seen.drawn) > alpha / 2)

    def plausible_below(hits: int) -> bool:
        return bool(hypergeom.cdf(seen.hits, total, hits, seen.drawn) > alpha / 2)

    low = _first(least, most, plausible_above)
    high = most - _first(0, most - least, lambda down: plausible_below(most - down))
    return low, high


def watched_hits_in_all(seen: Counted, *, alpha: float = ALPHA) -> tuple[int, int]:
    """The same, valid after every draw at once."""
    total = _finite(seen)
    hits = np.arange(seen.hits, total - (seen.drawn - seen.hits) + 1)
    kept = hits[_log_mixture(seen) - _log_sequence(seen, hits, total) < -math.log(alpha)]
    return int(kept[0]), int(kept[-1])


def watched_share(seen: Counted, *, alpha: float = ALPHA) -> tuple[float, float]:
    """Interval of the share of hits in what has no end, valid after every draw at once."""
    grid = np.linspace(0, 1, 20_001)
    log_likelihood = xlogy(seen.hits, grid) + xlog1py(seen.drawn - seen.hits, -grid)
    kept = grid[_log_mixture(seen) - log_likelihood < -math.log(alpha)]
    step = grid[1]
    return max(float(kept[0]) - step, 0.0), min(float(kept[-1]) + step, 1.0)


def share_between(least: int, most: int, count: int, *, alpha: float = ALPHA) -> tuple[float, float]:
    """Interval (Clopper & Pearson 1934) of a share of which between `least` and `most` of `count` hits were seen."""
    from scipy.stats import beta

    low = float(beta.ppf(alpha / 2, least, count - least + 1)) if least else 0.0
    high = float(beta.ppf(1 - alpha / 2, most + 1, count - most)) if most < count else 1.0
    return low, high


def mcnemar(only_first: int, only_second: int) -> float:
    """Two-sided p of McNemar's exact test: whether either side wins the examples on which they differ."""
    from scipy.stats import binomtest

    differ = only_first + only_second
    return float(binomtest(only_first, differ).pvalue) if differ else 1.0


def watched_mcnemar(differences: Sequence[int]) -> tuple[float, int | None]:
    """The anytime-valid p, and after how many examples it was first at most 5 %.

    `differences` holds an entry an example, in the order of looking: 1 only the first stands, -1 only the second.
    """
    steps = np.asarray(differences, dtype=np.int64)
    first, second = (np.cumsum(steps == sign) for sign in (1, -1))
    evidence = betaln(first + 1, second + 1) + (first + second) * math.log(2)
    if not len(evidence):
        return 1.0, None
    sure = np.flatnonzero(evidence >= -math.log(ALPHA))
    return float(min(1.0, math.exp(-evidence.max()))), int(sure[0]) + 1 if len(sure) else None


def _finite(seen: Counted) -> int:
    if seen.total is None:
        raise ValueError("total must be a number of examples to draw from, got None (watched_share knows no end)")
    return seen.total


def _first(least: int, most: int, holds: Callable[[int], bool]) -> int:
    """The first number from which on `holds` does, which it does at `most`."""
    while least < most:
        middle = (least + most) // 2
        least, most = (least, middle) if holds(middle) else (middle + 1, most)
    return least


def _log_mixture(seen: Counted) -> float:
    a, b = PRIOR
    return float(betaln(a + seen.hits, b + seen.drawn - seen.hits) - betaln(a, b))


def _log_sequence(seen: Counted, hits: np.ndarray, total: int) -> np.ndarray:
    """Of the draws in their order, were there so many hits in all."""
    left = total - seen.drawn
    return np.asarray(_log_choose(left, hits - seen.hits) - _log_choose(total, hits))


def _log_choose(total: int, chosen: np.ndarray) -> np.ndarray:
    return np.asarray(gammaln(total + 1) - gammaln(chosen + 1) - gammaln(total - chosen + 1))
