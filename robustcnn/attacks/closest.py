"""The smallest perturbation found so far: what every minimal attack keeps while it searches."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from robustcnn.attacks.base import is_fooled
from robustcnn.core.losses import margin
from robustcnn.core.norms.batched import per_example
from robustcnn.core.threat import ThreatModel
from robustcnn.fast.view import CoarseView, exact_logits


def confirmed(model: nn.Module, images: Tensor, labels: Tensor, fooled: Tensor) -> Tensor:
    """Which of the examples that seem fooled are fooled for the exact model: only those are asked again."""
    if not isinstance(model, CoarseView):
        return fooled
    asked = fooled.nonzero().squeeze(1)
    if not len(asked):
        return fooled
    return torch.zeros_like(fooled).index_put((asked,), is_fooled(exact_logits(model, images[asked]), labels[asked]))


class Closest:
    """The nearest adversarial example of each image, and how far away it is: inf while there is none."""

    def __init__(self, model: nn.Module, images: Tensor, labels: Tensor, threat: ThreatModel) -> None:
        self.model, self.images, self.labels, self.threat = model, images, labels, threat
        self.best = images
        self.distance = images.new_full((len(images),), torch.inf)

    def offer(self, candidates: Tensor, logits: Tensor) -> Tensor:
        """Keep the candidates that are fooled and nearer; returns which are fooled in the eyes of the search."""
        fooled = is_fooled(logits, self.labels)
        distance = self.threat.distance(candidates, self.images)
        self._keep(
            candidates, distance, confirmed(self.model, candidates, self.labels, fooled & self._nearer(distance))
        )
        return fooled

    def absorb(self, part: Closest, chosen: Tensor) -> None:
        """Keep what a search over the examples `chosen` (indices) found nearer."""
        best, distance = self.best.clone(), self.distance.clone()
        best[chosen], distance[chosen] = part.best, part.distance
        self._keep(best, distance, self._nearer(distance))

    def standing(self, radius: float = torch.inf) -> Tensor:
        """The indices of the images without a find inside this radius."""
        return (self.distance.isinf() | (self.distance > radius)).nonzero().squeeze(1)

    def subset(self, chosen: Tensor) -> Closest:
        """A fresh search over the examples `chosen` (indices)."""
        return Closest(self.model, self.images[chosen], self.labels[chosen], self.threat)

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
            self._keep(middle, distance, fooled & self.distance.isfinite() & self._nearer(distance))
            pick = per_example(fooled, inner)
            inner, outer = torch.where(pick, inner, middle), torch.where(pick, middle, outer)
            inside, outside = torch.where(fooled, inside, value), torch.where(fooled, value, outside)

    def _margins(self, images: Tensor) -> Tensor:
        return margin(exact_logits(self.model, images), self.labels)

    def _nearer(self, distance: Tensor) -> Tensor:
        return distance < self.distance

    def _keep(self, candidates: Tensor, distance: Tensor, better: Tensor) -> None:
        self.best = torch.where(per_example(better, self.best), candidates, self.best)
        self.distance = torch.where(better, distance, self.distance)
