"""How sure a count of examples is: exact binomial limits (Clopper & Pearson 1934), and verdicts that rest on them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from robustcnn.core.losses import margin
from robustcnn.core.results import Verdict

SLIGHT, GRAVE = 0.01, 0.03
"""Of all examples: what the same attack, given more, may still break on top before it warns, and before it fails."""
MASKED = 0.005
"""Of all examples: what a weaker attack may break on top; proven to be more, it fails."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OnTop:
    """Examples that another attack breaks and the one under examination does not: a paired count."""

    hits: int
    count: int
    """All examples, whether tried, broken or wrong from the start."""

    @property
    def share(self) -> float:
        return self.hits / self.count if self.count else 0.0

    @property
    def proven(self) -> float:
        """What the share surely is at least: the one-sided 95 % limit."""
        return limit(self.hits, self.count, 0.05)

    @property
    def interval(self) -> tuple[float, float]:
        """95 %, both sides."""
        return limit(self.hits, self.count, 0.025), 1 - limit(self.count - self.hits, self.count, 0.025)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{100 * self.share:.1f} points [{100 * low:.1f}, {100 * high:.1f}]"

    @property
    def by_a_weaker_one(self) -> Verdict:
        """One example may be luck; a second one, of an attack that should be weaker, asks why."""
        if self.proven > MASKED:
            return "fail"
        return "warn" if self.hits > 1 else "pass"

    @property
    def by_more_of_it(self) -> Verdict:
        """No attack ever converges wholly: what counts is by how much."""
        if self.hits < 2 or self.share <= SLIGHT:
            return "pass"
        return "fail" if self.share > GRAVE and self.proven > SLIGHT else "warn"


def limit(hits: int, count: int, alpha: float) -> float:
    """The share below which so many hits, or more, would be seen with a probability of alpha only."""
    from scipy.special import betaincinv

    return float(betaincinv(hits, count - hits + 1, alpha)) if hits else 0.0


ERRORS = 1.645
"""Standard errors that a mean has to be away from 0 to be so surely (one-sided 95 %)."""


def surely_wrong(looks: Tensor, labels: Tensor) -> Tensor:
    """Whether the mean of many looks (D, N, K) is wrong by more than their scatter explains; no number is wrong."""
    mean = looks.mean(0)
    lead, best = margin(mean, labels), mean.scatter(1, labels[:, None], -torch.inf).argmax(1)
    pairs = torch.stack([best, labels], 1).expand(len(looks), -1, -1)
    gaps = looks.gather(2, pairs)
    error = (gaps[..., 0] - gaps[..., 1]).std(0) / len(looks) ** 0.5
    wrong: Tensor = ~(lead <= ERRORS * error)
    return wrong
