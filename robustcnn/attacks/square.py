"""The Square attack of Andriushchenko et al. (2020): random windows, kept when they help; needs no gradient."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from robustcnn.attacks.base import Guarded
from robustcnn.attacks.search_state import SearchState
from robustcnn.core.conv_arithmetic import Place, crop
from robustcnn.core.losses import margin
from robustcnn.core.norms import NORMS
from robustcnn.core.norms.norm import Windows
from robustcnn.core.snapshots import due, frame
from robustcnn.core.threat import ThreatModel
from robustcnn.fast.incremental import incremental_forward

ANEW = 100
"""Queries after which what is remembered of the network's answers is worked out afresh."""
HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
"""The queries, of 10,000, at which the window's area halves: the published schedule."""


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class Square(Guarded):
    """Random search on the margin in square windows; the victim may be any module, differentiable or not."""

    queries: int = 5000
    """Images shown to the model for each example, those that start a search included."""
    p_init: float = 0.8
    """Share of the pixels that the first window covers."""
    rescale: bool = True
    """Stretch the schedule of 10,000 queries to ours, so that fewer end in small windows too; AutoAttack does not."""
    restarts: int = 1
    """Independent searches, each with its own `queries`."""

    def __post_init__(self) -> None:
        if self.queries < 1 or self.restarts < 1:
            raise ValueError(f"queries and restarts must be at least 1, got {self.queries} and {self.restarts}")
        if not 0 < self.p_init <= 1:
            raise ValueError(f"p_init must lie in (0, 1], got {self.p_init:g}")

    ends_at_boundary: ClassVar[bool] = True

    @property
    def takes_eps_each(self) -> bool:
        return True

    def search(
        self, model: nn.Module, images: Tensor, labels: Tensor, threat: ThreatModel, generator: torch.Generator
    ) -> Tensor:
        if images.ndim != 4:
            raise ValueError(f"Square needs images (N, C, H, W), got {tuple(images.shape)}")
        windows = _windows(threat)
        state = SearchState(model, images, labels, planned=self.queries * self.restarts)
        logits = model(images)
        state.update(images, margin(logits, labels), logits, ranked=False)
        state.drop_succeeded()
        restart = 0
        with frame("restarts", lambda: {"restart": restart, **state.kept}) as before:
            if before:
                state.take_up(before)
            for restart in range(before["restart"] if before else 0, self.restarts):
                ball = threat.of(state.rows)
                if not (before and before["restart"] == restart):
                    self._start(state, windows, ball, generator)
                search = self._search_together if windows.shared else self._search_each
                search(state, windows, ball, generator)
                state.drop_succeeded()
        return state.best_found

    def _start(self, state: SearchState, windows: Windows, ball: ThreatModel, generator: torch.Generator) -> None:
        # A restart forgets the margin, never a success.
        state.score, origin = torch.full_like(state.score, -torch.inf), state.images
        candidates = _inside(windows.start(origin, ball.radius(origin), generator), origin, windows, ball)
        _update(state, candidates, state.model(candidates))

    def _search_together(
        self, state: SearchState, windows: Windows, threat: ThreatModel, generator: torch.Generator
    ) -> None:
        """One window a query for all images: what the network makes of the rest of an image is known already."""
        corners, done = torch.rand(self.queries, 2, generator=generator, device=generator.device), 1
        with frame("together", lambda: {"done": done, "corners": corners}) as before:
            if before:
                done, corners = before["done"], before["corners"]
            places, remembered, forward = corners.tolist(), 0, None
            for query in range(done, self.queries):
                if not len(state):
                    return
                side = self._side(query, state.images, windows)
                # Now and then anew, so that a search that is taken up there remembers the same to the bit.
                if side != remembered or not query % ANEW:
                    remembered, forward = side, incremental_forward(state.model, state.found, side)
                place = _place(places[query], side, state.images)
                images, current = crop(state.images, place), crop(state.found, place)
                window = windows.change(images, current, threat.radius(images), side, generator).clamp(*threat.bounds)
                logits = forward(window, place) if forward else _shown(state, window, place)
                better, stay = _update(state, window, logits, place), state.compact(query)
                threat = threat if stay is None else threat.of(stay)
                if forward:
                    forward.settle(better, stay)
                done = query + 1
                if not done % ANEW:
                    due()

    def _search_each(
        self, state: SearchState, windows: Windows, threat: ThreatModel, generator: torch.Generator
    ) -> None:
        """Windows of its own for each image."""
        done = 1
        with frame("each", lambda: {"done": done}) as before:
            for query in range(before["done"] if before else 1, self.queries):
                if not len(state):
                    return
                images, side = state.images, self._side(query, state.images, windows)
                candidates = windows.change(images, state.found, threat.radius(images), side, generator)
                candidates = _inside(candidates, images, windows, threat)
                _update(state, candidates, state.model(candidates))
                stay = state.compact(query)
                threat = threat if stay is None else threat.of(stay)
                done = query + 1
                due()

    def _side(self, query: int, images: Tensor, windows: Windows) -> int:
        """Side of the window, whose share of the pixels halves along the schedule."""
        height, width = images.shape[2:]
        side = max(round(math.sqrt(self.share(query) * height * width)), windows.least_side)
        return min(side + 1 if windows.odd and side % 2 == 0 else side, height, width)

    def share(self, query: int) -> float:
        """Share of the pixels that the window of this query covers; the first one is 1."""
        done = (query - 1) * (10_000 / self.queries if self.rescale else 1)
        halvings = sum(done > each for each in HALVINGS)
        return self.p_init * 0.5**halvings


def _inside(candidates: Tensor, origin: Tensor, windows: Windows, threat: ThreatModel) -> Tensor:
    return threat.project(candidates, origin) if windows.overshoots else candidates.clamp(*threat.bounds)


def _update(state: SearchState, candidates: Tensor, logits: Tensor, place: Place | None = None) -> Tensor:
    """Which candidates are taken over."""
    return state.update(candidates, margin(logits, state.labels), logits, place=place)


def _shown(state: SearchState, window: Tensor, place: Place) -> Tensor:
    """Logits of the worst images with another window."""
    candidates = state.found.clone()
    crop(candidates, place).copy_(window)
    return state.model(candidates)  # type: ignore[no-any-return]


def _place(corner: Sequence[float], side: int, images: Tensor) -> Place:
    """A window of that side, anywhere in the image: the corner is drawn from the unit square."""
    (top, left) = (int(share * (extent - side + 1)) for share, extent in zip(corner, images.shape[2:], strict=True))
    return (top, top + side), (left, left + side)


def _windows(threat: ThreatModel) -> Windows:
    threat.refuse_infinite("Square")
    if threat.windows is None:
        known = ", ".join(name for name, norm in NORMS.items() if norm.windows)
        raise ValueError(f"Square knows {known}, got {threat.norm} (use AutoPGD or FAB for {threat.norm})")
    return threat.windows
