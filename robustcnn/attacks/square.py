"""The Square attack of Andriushchenko et al. (2020): random windows, kept when they help; needs no gradient."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from robustcnn.attacks.base import Guarded
from robustcnn.attacks.search_state import SearchState
from robustcnn.attacks.square_windows import moved, recoloured, stripes, tiles
from robustcnn.core.conv_arithmetic import Place, crop
from robustcnn.core.losses import margin
from robustcnn.core.threat import ThreatModel
from robustcnn.fast.incremental import incremental_forward

HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
"""The queries, of 10,000, at which the window's area halves: the published schedule."""


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
        _check(threat)
        state = SearchState(model, images, labels)
        logits = model(images)
        state.update(images, margin(logits, labels), logits, ranked=False)
        state.drop_succeeded()
        for _ in range(self.restarts):
            # A restart forgets the margin, never a success.
            state.loss.fill_(-torch.inf)
            start = stripes if threat.norm == "linf" else tiles
            candidates = start(images[state.active], threat.eps, generator).clamp(*threat.bounds)
            _update(state, candidates, model(candidates))
            if threat.norm == "linf":
                self._search_linf(state, threat, generator)
            else:
                self._search_l2(state, threat, generator)
            state.drop_succeeded()
        return state.best_found

    def _search_linf(self, state: SearchState, threat: ThreatModel, generator: torch.Generator) -> None:
        """One place a query for all images, each with a colour of its own: the network's view of the rest is known."""
        corners = torch.rand(self.queries, 2, generator=generator, device=generator.device).tolist()
        looked, look = 0, None
        for query in range(1, self.queries):
            rows = state.active
            if not len(rows):
                return
            side = self._side(query, state.images, 1)
            if side != looked:
                looked, look = side, incremental_forward(state.model, state.best_found[rows], side)
            place = _place(corners[query], side, state.images)
            window = recoloured(crop(state.images, place)[rows], threat.eps, generator).clamp(*threat.bounds)
            logits = look(window, place) if look else _shown(state, window, place)
            worse, stay = _update(state, window, logits, place), state.compact(query)
            if look:
                look.settle(worse, stay)

    def _search_l2(self, state: SearchState, threat: ThreatModel, generator: torch.Generator) -> None:
        for query in range(1, self.queries):
            rows = state.active
            if not len(rows):
                return
            side = self._side(query, state.images, 3)
            candidates = moved(state.images[rows], state.best_found[rows], threat.eps, side, generator)
            candidates = candidates.clamp(*threat.bounds)
            _update(state, candidates, state.model(candidates))
            state.compact(query)

    def _side(self, query: int, images: Tensor, least: int) -> int:
        """Side of the window: its share of the pixels halves along the schedule, rescaled to our queries."""
        height, width = images.shape[2:]
        reached = sum(query / self.queries * 10_000 > each for each in HALVINGS)
        side = max(round(math.sqrt(self.p_init / 2**reached * height * width)), least)
        # The l2 saddle wants a middle row.
        odd = side + 1 if least > 1 and side % 2 == 0 else side
        return min(odd, height, width)


def _update(state: SearchState, candidates: Tensor, logits: Tensor, place: Place | None = None) -> Tensor:
    """Which candidates are taken over."""
    return state.update(candidates, margin(logits, state.labels[state.active]), logits, place=place)


def _shown(state: SearchState, window: Tensor, place: Place) -> Tensor:
    """Logits of the worst images with another window."""
    candidates = state.best_found[state.active]
    crop(candidates, place).copy_(window)
    return state.model(candidates)  # type: ignore[no-any-return]


def _place(corner: Sequence[float], side: int, images: Tensor) -> Place:
    """A window of that side, anywhere in the image: the corner is drawn from the unit square."""
    (top, left) = (int(share * (extent - side + 1)) for share, extent in zip(corner, images.shape[2:], strict=True))
    return (top, top + side), (left, left + side)


def _check(threat: ThreatModel) -> None:
    if math.isinf(threat.eps):
        raise ValueError("Square needs a finite eps, got inf (give the threat an eps)")
    if threat.norm == "l1":
        raise ValueError(f"Square knows linf and l2, got {threat.norm} (use AutoPGD or FAB for l1)")
