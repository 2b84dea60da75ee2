"""The Square attack of Andriushchenko et al. (2020): random windows, kept when they help; needs no gradient."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from robustcnn.attacks.base import Guarded
from robustcnn.attacks.square_windows import moved, recoloured, stripes, tiles
from robustcnn.attacks.standing import Standing
from robustcnn.losses import margin
from robustcnn.threat import ThreatModel

HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
"""The queries, of 10,000, at which the window's area halves: the published schedule."""

Propose = Callable[[Tensor, Tensor, float, int, torch.Generator], Tensor]


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class Square(Guarded):
    """Random search on the margin in square windows; the victim may be any module, differentiable or not."""

    queries: int = 5000
    """Images shown to the model for each example, those that start a search included."""
    p_init: float = 0.8
    """Share of the pixels that the first window covers."""
    restarts: int = 1
    """Independent searches, each with its own `queries`."""

    def __post_init__(self) -> None:
        if self.queries < 1 or self.restarts < 1:
            raise ValueError(f"queries and restarts must be at least 1, got {self.queries} and {self.restarts}")
        if not 0 < self.p_init <= 1:
            raise ValueError(f"p_init must lie in (0, 1], got {self.p_init:g}")

    def search(
        self, model: nn.Module, images: Tensor, labels: Tensor, threat: ThreatModel, generator: torch.Generator
    ) -> Tensor:
        if images.ndim != 4:
            raise ValueError(f"Square needs images (N, C, H, W), got {tuple(images.shape)}")
        start, propose, least_side = _geometry(threat)
        standing = Standing(model, images, labels)
        logits = model(images)
        standing.see(images, margin(logits, labels), logits, ranked=False)
        standing.dismiss()
        for _ in range(self.restarts):
            # A restart forgets the margin, never a success.
            standing.loss.fill_(-torch.inf)
            candidates = start(images[standing.rows], threat.eps, generator)
            self._query(standing, candidates, threat)
            for query in range(1, self.queries):
                if not len(standing):
                    return standing.worst
                rows = standing.rows
                side = self._side(query, images, least_side)
                candidates = propose(images[rows], standing.worst[rows], threat.eps, side, generator)
                self._query(standing, candidates, threat)
                standing.leave(query)
            standing.dismiss()
        return standing.worst

    def _query(self, standing: Standing, candidates: Tensor, threat: ThreatModel) -> None:
        candidates = candidates.clamp(*threat.bounds)
        logits = standing.model(candidates)
        standing.see(candidates, margin(logits, standing.labels[standing.rows]), logits)

    def _side(self, query: int, images: Tensor, least: int) -> int:
        """Side of the window: its share of the pixels halves along the schedule, rescaled to our queries."""
        height, width = images.shape[2:]
        reached = sum(query / self.queries * 10_000 > at for at in HALVINGS)
        side = max(round(math.sqrt(self.p_init / 2**reached * height * width)), least)
        # The l2 saddle wants a middle row.
        odd = side + 1 if least > 1 and side % 2 == 0 else side
        return min(odd, height, width)


def _geometry(threat: ThreatModel) -> tuple[Callable[[Tensor, float, torch.Generator], Tensor], Propose, int]:
    """How to start, what to try next, and the least side of a window."""
    if math.isinf(threat.eps):
        raise ValueError("Square needs a finite eps, got inf (give the threat an eps)")
    match threat.norm:
        case "linf":
            return stripes, recoloured, 1
        case "l2":
            return tiles, moved, 3
        case _:
            raise ValueError(f"Square knows linf and l2, got {threat.norm} (use AutoPGD or FAB for l1)")
