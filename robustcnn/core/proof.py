"""What was proven of a model, beside what attacks broke."""

from __future__ import annotations

from dataclasses import dataclass

from robustcnn.core.share import Share


@dataclass(frozen=True, kw_only=True, slots=True)
class Proof:
    """One ball from both sides: each example is proven, broken (clean mistakes are) or undecided."""

    norm: str
    eps: float
    method: str
    """interval, crown or alpha-crown."""
    proven: Share
    classes: tuple[Share, ...]
    """The same of each class."""
    broken: int
    undecided: int
    seconds: float
    """To prove."""
    audited: int
    """Proven examples that were attacked all the same; the others were spared."""
    contradicted: int
    """Of these, how many were broken: above 0, the proof or the attack is wrong, and nothing here can be relied on."""

    @property
    def says(self) -> str:
        """Both sides in a line."""
        count = self.proven.count
        low, high = (100 * share / count for share in (self.proven.hits, count - self.broken))
        return f"robust between {low:.1f} and {high:.1f} %, {100 * self.undecided / count:.1f} undecided"


@dataclass(frozen=True, kw_only=True, slots=True)
class TwoSided:
    """How far undecided examples are from both sides: none stands for eps at which neither was seen."""

    norm: str
    eps: float
    """The ball in which they are undecided."""
    method: str
    attack: str
    proven: tuple[float, ...]
    """Of each example, the largest eps found at which it is proven."""
    broken: tuple[float | None, ...]
    """The smallest at which the attack broke it; None where that is above `eps`."""
