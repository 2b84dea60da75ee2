"""What an audit of a cheap evaluation brought, and a comparison of two models example by example."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Audited:
    """AutoAttack's robust accuracy, estimated: it was let loose on a random part of what the cheap attacks left."""

    count: int
    """Examples in all."""
    stood: int
    """Examples that the cheap attacks left standing."""
    drawn: int
    """Of those, how many were audited."""
    broken: int
    """Of the audited, how many AutoAttack broke."""
    value: float
    """The estimate: the share that stood, times the share of the audited that still stand; what is proven stands."""
    low: float
    high: float
    """95 % interval of AutoAttack's robust accuracy on these very examples; only the draw is left to chance."""
    new_low: float
    new_high: float
    """95 % interval for examples yet to come from where these did: the choice of the examples is chance too."""
    proven: int = 0
    """Of those that stood, how many are proven; none of them is drawn."""
    until: float | None = None
    """The width, in points, at which the audit was to stop; the intervals are then valid whenever it does."""

    @property
    def share(self) -> float:
        """Of what the cheap attacks leave, the part that AutoAttack breaks: the less, the better they are."""
        return self.broken / self.drawn if self.drawn else 0.0

    @property
    def says(self) -> str:
        """What was found, in brackets behind the figure."""
        unproven = " unproven" if self.proven else ""
        return f"audited: AutoAttack broke {self.broken:,} of {self.drawn:,}{unproven} that stood"

    def __str__(self) -> str:
        return f"{100 * self.value:.1f} % [{100 * self.low:.1f}, {100 * self.high:.1f}] ({self.says})"


@dataclass(frozen=True, kw_only=True, slots=True)
class Paired:
    """Two models on the same examples, in the order in which they were looked at."""

    first: str
    second: str
    ball: str
    """Norm and eps."""
    count: int
    """Examples that were looked at."""
    only_first: int
    """That the first model withstands and the second does not."""
    only_second: int
    p: float
    """Of McNemar's exact test, two-sided; valid when the number of examples was fixed before."""
    anytime_p: float
    """Valid however often one looks, and whenever one stops."""
    settled: int | None
    """After so many examples the anytime test was sure, at 5 %; None: it never was."""

    @property
    def difference(self) -> float:
        """Robust accuracy of the first less that of the second."""
        return (self.only_first - self.only_second) / self.count if self.count else 0.0

    @property
    def says(self) -> str:
        """One sentence."""
        better, worse = (self.first, self.second) if self.difference >= 0 else (self.second, self.first)
        figures = (
            f"{self.only_first:,} examples only {self.first} withstands, {self.only_second:,} only {self.second}, "
            f"of {self.count:,} in {self.ball}; McNemar's exact p = {self.p:.2g}, anytime-valid {self.anytime_p:.2g}"
        )
        if min(self.p, self.anytime_p) > ALPHA:
            return f"no difference shown between {self.first} and {self.second}: {figures}"
        after = f", sure after {self.settled:,} examples" if self.settled is not None else ""
        return f"{better} is more robust than {worse}, by {100 * abs(self.difference):.1f} points{after}: {figures}"


ALPHA = 0.05
"""How often a true hypothesis may be rejected, and an interval miss."""
