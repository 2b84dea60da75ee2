"""What was proven of a model, beside what attacks broke."""

from __future__ import annotations

from dataclasses import dataclass

from robustcnn.core.share import Share


@dataclass(frozen=True, kw_only=True, slots=True)
class Votes:
    """What certificates by randomised smoothing rest on."""

    sigma: float
    """Of the noise, in pixel units."""
    draws: int
    """Of noise for one certificate."""
    alpha: float
    """The chance that one certificate is wrong."""
    judged_draws: int
    """In one answer of the model that is attacked."""

    @property
    def says(self) -> str:
        sample = "1 draw" if self.judged_draws == 1 else f"{self.judged_draws:,} draws"
        return (
            f"each certificate holds with probability {100 * (1 - self.alpha):g} %, by {self.draws:,} draws of noise "
            f"of sigma {self.sigma:g}, for the majority over all noise; what is attacked is a sample of it, the mean "
            f"probability over {sample}, so that an example may be both certified and broken"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Proof:
    """One ball from both sides: each example is proven, broken (clean mistakes are) or undecided.

    With `votes`, proven counts certificates and broken the attacks' successes, and an example may be both: the
    certificate is about the majority over all noise, of which the attacked model is a sample.
    """

    norm: str
    eps: float
    method: str
    """interval, crown, alpha-crown or smoothing."""
    proven: Share
    classes: tuple[Share, ...]
    """The same of each class."""
    broken: int
    undecided: int
    seconds: float
    """To prove."""
    audited: int
    """Proven examples that were attacked all the same; the others were spared. With votes: those that are broken too,
    at most so many of them, where the votes were counted once more, of the adversarial image."""
    contradicted: int
    """Of these, how many were broken: above 0, the proof or the attack is wrong, and nothing here can be relied on.
    With votes: how many the majority itself gets wrong, which may be as many as `alpha` explains."""
    votes: Votes | None = None
    """Of a method that draws; None for bounds, which hold with certainty."""

    @property
    def both(self) -> int:
        """How many examples are proven and broken."""
        return self.proven.hits + self.broken + self.undecided - self.proven.count

    @property
    def says(self) -> str:
        """Both sides in a line."""
        count = self.proven.count
        if self.votes:
            names = ("certified", "broken", "undecided", "both certified and broken")
            hits = (self.proven.hits, self.broken, self.undecided, self.both)
            return ", ".join(f"{100 * part / count:.1f} % {name}" for name, part in zip(names, hits, strict=True))
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
