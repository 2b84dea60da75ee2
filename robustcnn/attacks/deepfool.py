"""DeepFool (Moosavi-Dezfooli et al. 2016): walk to the nearest linearised boundary until it is crossed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from robustcnn.attacks.base import Guarded
from robustcnn.attacks.closest import EVERY, Closest
from robustcnn.attacks.linearise import check_differentiable, nearest
from robustcnn.core.norms.batched import pick
from robustcnn.core.threat import ThreatModel
from robustcnn.core.waiting import HOSTS


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class DeepFool(Guarded):
    """The first perturbation that fools, cut to the ball when it is larger than eps."""

    steps: int = 50
    """Linearisations at most."""
    overshoot: float = 0.02
    """Share by which each step is lengthened to cross the boundary."""
    candidates: int = 10
    """Likeliest other classes whose boundaries are considered."""

    def __post_init__(self) -> None:
        if self.steps < 1 or self.candidates < 1:
            raise ValueError(f"steps and candidates must be at least 1, got {self.steps} and {self.candidates}")
        if self.overshoot < 0:
            raise ValueError(f"overshoot must be at least 0, got {self.overshoot:g}")

    ends_at_boundary: ClassVar[bool] = True

    @property
    def takes_eps_each(self) -> bool:
        return True

    def search(
        self,
        model: nn.Module,
        images: Tensor,
        labels: Tensor,
        threat: ThreatModel,
        generator: torch.Generator,  # noqa: ARG002
    ) -> Tensor:
        check_differentiable(model, images)
        closest = Closest(model, images, labels, threat)
        closest.offer(images, model(images))
        rows, part, point = torch.arange(len(images), device=images.device), closest, images
        every = 1 if images.device.type in HOSTS else EVERY
        for step in range(self.steps):
            if step % every == 0:
                stay = part.standing()
                if not len(stay):
                    break
                rows, part, point = rows[stay], part.subset(stay), point[stay]
            plane = nearest(model, point, part.labels, threat, candidates=self.candidates)
            # A step that is clipped only afterwards stops short of the plane, and a sum of such steps never crosses it.
            # Who still stands goes forward, also where a fast view takes a point for the boundary, or for past it.
            covered = ((point - part.images) * plane.normal).flatten(1).sum(1).abs()
            gap = plane.gap.abs().to(point.dtype).maximum(self.overshoot * covered)
            crossing = threat.onto_plane(point, plane.normal, gap)
            onward = (point + (1 + self.overshoot) * (crossing - point)).clamp(*threat.bounds)
            point = pick(part.distance.isinf(), onward, point)
            part.offer(point, model(point))
            closest.absorb(part, rows)
        return closest.best
