"""The smallest perturbation found so far: what every minimal attack keeps while it searches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from robustcnn.attacks.base import is_fooled
from robustcnn.core.losses import margin
from robustcnn.core.norms.batched import per_example, pick
from robustcnn.core.threat import ThreatModel
from robustcnn.core.waiting import HOSTS, split
from robustcnn.fast.view import CoarseView, exact_logits

EVERY = 8
"""Offers after which a coarse view's claims are looked at again, where that makes the host wait for a device."""


class Closest:
    """The nearest adversarial example of each image, and how far away it is: inf while there is none.

    Of a coarse view's claims the nearest is kept apart until the exact logits agree.
    """

    def __init__(self, model: nn.Module, images: Tensor, labels: Tensor, threat: ThreatModel) -> None:
        self.model, self.images, self.labels, self.threat = model, images, labels, threat
        self._best, self._distance = images, images.new_full((len(images),), torch.inf)
        self._claimed, self._claimed_distance = self._best, self._distance
        self._offers = 0

    @property
    def kept(self) -> dict[str, Tensor | int]:
        """For a snapshot."""
        names = ("_best", "_distance", "_claimed", "_claimed_distance", "_offers")
        return {name: getattr(self, name) for name in names}

    def take_up(self, kept: Mapping[str, Any]) -> None:
        """Be as the snapshot says."""
        for name in self.kept:
            setattr(self, name, kept[name])

    @property
    def best(self) -> Tensor:
        """The images."""
        self._confirm()
        return self._best

    @property
    def distance(self) -> Tensor:
        """Their distances (N,), of claims too that nobody has looked at yet."""
        return self._claimed_distance

    def offer(self, candidates: Tensor, logits: Tensor) -> Tensor:
        """Keep the candidates that are fooled and nearer; returns which are fooled in the eyes of the search."""
        fooled = is_fooled(logits, self.labels)
        distance = self.threat.distance(candidates, self.images)
        better = fooled & (distance < self._claimed_distance)
        self._claimed = pick(better, candidates, self._claimed)
        self._claimed_distance = torch.where(better, distance, self._claimed_distance)
        self._offers += 1
        if not isinstance(self.model, CoarseView):
            self._best, self._distance = self._claimed, self._claimed_distance
        elif distance.device.type in HOSTS or self._offers % EVERY == 0:
            self._confirm()
        return fooled

    def _confirm(self) -> None:
        """Ask the exact model about the claims, and forget those that it does not agree with."""
        if not isinstance(self.model, CoarseView):
            return
        _, rows = split(self._claimed_distance < self._distance)
        if len(rows):
            logits = exact_logits(self.model, self._claimed[rows])
            agreed = torch.zeros_like(self.labels, dtype=torch.bool)
            agreed[rows] = is_fooled(logits, self.labels[rows])
            self._keep(self._claimed, self._claimed_distance, agreed)
        self._claimed, self._claimed_distance = self._best, self._distance

    def absorb(self, part: Closest, chosen: Tensor) -> None:
        """Keep what a search over the examples `chosen` (indices), or over several copies of them, found nearer."""
        best, distance, found = self.best.clone(), self._distance.clone(), part.best
        nearest = part._distance.view(-1, len(chosen)).argmin(0) * len(chosen)
        rows = nearest + torch.arange(len(chosen), device=chosen.device)
        best[chosen], distance[chosen] = found[rows], part._distance[rows]
        self._keep(best, distance, self._nearer(distance))

    def standing(self, radius: Tensor | None = None) -> Tensor:
        """The indices of the images without a find, or without one inside their radius (N,)."""
        self._confirm()
        found = self._distance.isfinite()
        return split(found if radius is None else found & (self._distance <= radius))[0]

    def subset(self, chosen: Tensor) -> Closest:
        """A fresh search over the examples `chosen` (indices)."""
        return Closest(self.model, self.images[chosen], self.labels[chosen], self.threat.of(chosen))

    def refine(self, steps: int) -> None:
        """Pull each find towards its image along the line between them: false position on the margin (Croce & Hein)."""
        inner, outer = self.images, self.best
        inside, outside = self._margins(inner), self._margins(outer)
        for _ in range(steps):
            # A hundredth short of where a straight margin would vanish, on the fooled side of it.
            share = 0.99 * outside / (outside - inside).clamp_min(torch.finfo(outside.dtype).tiny)
            middle = torch.lerp(outer, inner, per_example(share.clamp(0, 1), inner).to(inner.dtype))
            value = self._margins(middle)
            fooled = value > 0
            distance = self.threat.distance(middle, self.images)
            self._keep(middle, distance, fooled & self._distance.isfinite() & self._nearer(distance))
            inner, outer = pick(fooled, inner, middle), pick(fooled, middle, outer)
            inside, outside = torch.where(fooled, inside, value), torch.where(fooled, value, outside)

    def _margins(self, images: Tensor) -> Tensor:
        return margin(exact_logits(self.model, images), self.labels)

    def _nearer(self, distance: Tensor) -> Tensor:
        return distance < self._distance

    def _keep(self, candidates: Tensor, distance: Tensor, better: Tensor) -> None:
        self._best = pick(better, candidates, self._best)
        self._distance = torch.where(better, distance, self._distance)
        self._claimed, self._claimed_distance = self._best, self._distance
