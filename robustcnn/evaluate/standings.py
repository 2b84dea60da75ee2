"""How the examples stand: against one attack in growing balls, and against all of them in one ball."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from robustcnn.core.broken_by import BrokenBy
from robustcnn.core.losses import is_right
from robustcnn.core.roomy import SCATTERED, filled, rest, slices
from robustcnn.core.threat import ThreatModel
from robustcnn.evaluate.judging import Tries


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Evidence:
    """The worst inputs in one ball, for galleries and tables by example; all tensors are on the CPU."""

    threat: ThreatModel
    images: Tensor
    """Float pixels (N, C, H, W) of the originals."""
    adversarial: Tensor
    """Each example's first success; of what stands, the last attack's try; of clean mistakes, the original."""
    labels: Tensor
    clean_logits: Tensor
    logits: Tensor
    """Of `adversarial`."""
    broken_by: Tensor
    """Index (N,) of the first attack that broke the example, or a `BrokenBy`."""
    attacks: tuple[str, ...]
    """Their names, in the order in which they were listed."""

    def subset(self, rows: Tensor) -> Evidence:
        """About these examples alone."""
        return replace(
            self,
            images=self.images[rows],
            adversarial=self.adversarial[rows],
            labels=self.labels[rows],
            clean_logits=self.clean_logits[rows],
            logits=self.logits[rows],
            broken_by=self.broken_by[rows],
        )


class Against:
    """How all examples stand against one attack; what is broken keeps its image while the ball grows."""

    def __init__(self, images: Tensor, labels: Tensor, clean_logits: Tensor, folder: Path | None = None) -> None:
        self.images, self.labels, self.logits = _copy(images, folder), labels, clean_logits.clone()
        self.folder = folder
        self.broken = ~is_right(clean_logits, labels)
        self.success = torch.zeros_like(self.broken)
        """What the attack broke: not what was wrong before."""
        self.kept = torch.zeros_like(self.broken)
        """Successes that survive as bytes."""
        self.queries: Tensor | None = None
        """Of a black box: questions until it was broken, minus their number where it was not; 0 for none."""

    @classmethod
    def going_on(cls, worst: WorstCase, labels: Tensor) -> Against:
        """An attack on what is left of the worst case over others."""
        against = cls(worst.images, labels, worst.logits, worst.folder)
        against.broken = worst.broken_by != BrokenBy.STANDING
        return against

    def inherit(self, smaller: Against) -> None:
        """What the same attack broke in a smaller ball is broken, where it stands here until now."""
        rows = (smaller.success & ~self.broken).nonzero().flatten()
        _move(smaller.images, self.images, rows)
        for name in ("logits", "kept", "broken", "success"):
            getattr(self, name)[rows] = getattr(smaller, name)[rows]

    def take(self, rows: Tensor, tries: Tries) -> None:
        """What the attack came to for these rows, which stood until now."""
        wrong = ~is_right(tries.logits, self.labels[rows])
        self.images[rows], self.logits[rows], self.kept[rows] = tries.images, tries.logits, tries.kept
        rest(self.images)
        self.broken[rows], self.success[rows] = wrong, wrong
        if tries.queries is not None:
            before = torch.zeros_like(self.labels) if self.queries is None else self.queries
            # A ball that grows goes on asking about what still stands.
            asked = before[rows].abs() + tries.queries.abs()
            self.queries = before.index_copy(0, rows, torch.where(wrong, asked, -asked))


class WorstCase:
    """How all examples stand in one ball, each against the first attack that broke it."""

    def __init__(self, images: Tensor, labels: Tensor, clean_logits: Tensor, folder: Path | None = None) -> None:
        self.images, self.logits, self.folder = _copy(images, folder), clean_logits.clone(), folder
        self.clean_logits = clean_logits
        self.broken_by = torch.where(is_right(clean_logits, labels), BrokenBy.STANDING, BrokenBy.CLEAN)

    def take(self, attack: int, against: Against) -> int:
        """What the attack with this index came to; how many it is the first to break."""
        standing = self.broken_by == BrokenBy.STANDING
        _move(against.images, self.images, standing.nonzero().flatten())
        self.logits = torch.where(standing[:, None], against.logits, self.logits)
        first = standing & against.broken
        self.broken_by[first] = attack
        return int(first.sum())


def _copy(images: Tensor, folder: Path | None) -> Tensor:
    def part(rows: slice) -> Tensor:
        found = images[rows].clone()
        rest(images)
        return found

    return filled(images.shape, part, folder)


def _move(source: Tensor, target: Tensor, rows: Tensor) -> None:
    """Have the target's rows be the source's."""
    for each in slices(len(rows), SCATTERED):
        target[rows[each]] = source[rows[each]]
        rest(source)
        rest(target)
