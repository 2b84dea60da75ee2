"""The fast adaptive boundary attack of Croce & Hein (2020): minimal perturbations by projecting on the boundary."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn

from robustcnn.attacks.base import Guarded
from robustcnn.attacks.closest import Closest
from robustcnn.attacks.linearise import Plane, check_differentiable, nearest, rivals, towards
from robustcnn.attacks.side_by_side import copies, joined, side_by_side
from robustcnn.core.norms.batched import per_example
from robustcnn.core.progress import Progress, tell
from robustcnn.core.snapshots import due, frame
from robustcnn.core.threat import ThreatModel


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class FAB(Guarded):
    """The smallest perturbation found, cut to the ball when it is larger than eps (inf leaves it whole)."""

    steps: int = 100
    """Gradient steps a restart and target."""
    restarts: int = 1
    """The first starts at the image, the others at random half-way to the best find."""
    targets: int = 0
    """Aim at this many wrong classes in turn, the likeliest first; 0 weighs all in each step, a gradient each."""
    alpha_max: float = 0.1
    """Greatest pull back towards the image."""
    eta: float = 1.05
    """Overshoot over the linearised boundary."""
    beta: float = 0.9
    """How far a fooled example goes on from its image; the rest is retreat."""
    final_steps: int = 3
    """Steps of the last search on the line from the find to the image."""
    stop: bool = False
    """Restarts and targets leave out what is fooled inside the ball already: for robust accuracy, not for distances."""

    def __post_init__(self) -> None:
        if self.steps < 1 or self.restarts < 1:
            raise ValueError(f"steps and restarts must be at least 1, got {self.steps} and {self.restarts}")
        if self.targets < 0:
            raise ValueError(f"targets must be 0 (none) or a number of classes, got {self.targets}")

    ends_at_boundary: ClassVar[bool] = True

    @property
    def takes_eps_each(self) -> bool:
        return True

    def search(
        self, model: nn.Module, images: Tensor, labels: Tensor, threat: ThreatModel, generator: torch.Generator
    ) -> Tensor:
        check_differentiable(model, images)
        closest = Closest(model, images, labels, threat)
        logits = model(images)
        closest.offer(images, logits)
        enough = threat.eps_of(images) if self.stop else torch.zeros_like(closest.distance)
        aims = self._targets(logits, labels)
        number = 0
        with frame("targets", lambda: {"number": number, **closest.kept}) as before:
            if before:
                closest.take_up(before)
                number = before["number"]
            while number < self.restarts * len(aims):
                restart, first = divmod(number, len(aims))
                standing, count = closest.standing(enough), 1
                tell(partial(_progress, len(labels), len(standing), number / (self.restarts * len(aims))))
                # Of this restart; a search without `stop` may find more from another start.
                if len(standing):
                    start = images if restart == 0 else self._random_start(closest, generator)
                    count = side_by_side(model, standing, len(aims) - first)
                    part = closest.subset(copies(standing, count))
                    self._run(part, copies(start[standing], count), joined(aims[first : first + count], standing))
                    closest.absorb(part, standing)
                number += count
        closest.refine(self.final_steps)
        return closest.best

    def _targets(self, logits: Tensor, labels: Tensor) -> tuple[Tensor | None, ...]:
        return rivals(logits, labels, self.targets).unbind(1) if self.targets else (None,)

    def _random_start(self, closest: Closest, generator: torch.Generator) -> Tensor:
        images, threat = closest.images, closest.threat
        low, high = threat.bounds
        noise = torch.randn(images.shape, generator=generator, device=generator.device).to(images)
        # No find and no eps: the farthest corner of the box is the only scale left.
        corner = threat.distance(images, torch.where(images > (low + high) / 2, low, high))
        radius = closest.distance.minimum(corner).minimum(threat.eps_of(images)) / 2
        return (images + noise * per_example(radius / threat.distance(noise, torch.zeros_like(noise)), noise)).clamp(
            low, high
        )

    def _run(self, closest: Closest, start: Tensor, target: Tensor | None) -> None:
        """All steps from one start towards one target; the finds are left in `closest`."""
        images, threat = closest.images, closest.threat
        point, done = start, 0
        with frame("run", lambda: {"done": done, "point": point, **closest.kept}) as before:
            if before:
                done, point = before["done"], before["point"]
                closest.take_up(before)
            for step in range(done, self.steps):
                plane = self._plane(closest, point, target)
                point = self._step(point, images, plane, threat)
                fooled = closest.offer(point, closest.model(point))
                point = torch.lerp(images, point, per_example(torch.where(fooled, self.beta, 1.0), point).to(point))
                done = step + 1
                due()

    def _plane(self, closest: Closest, point: Tensor, target: Tensor | None) -> Plane:
        if target is not None:
            return towards(closest.model, point, closest.labels, target)
        return nearest(closest.model, point, closest.labels, closest.threat, candidates=_ALL)

    def _step(self, point: Tensor, images: Tensor, plane: Plane, threat: ThreatModel) -> Tensor:
        """A little past the boundary, mostly from where we are, somewhat from the image itself."""
        gap = plane.gap.to(point.dtype)
        gap_of_image = gap + ((point - images) * plane.normal).flatten(1).sum(1)
        # One projection of twice the batch: both planes have the same normals.
        near, ideal = threat.onto_plane(
            torch.cat([point, images]),
            plane.normal.repeat(2, *[1] * (point.ndim - 1)),
            torch.cat([gap, gap_of_image]),
        ).chunk(2)
        here, there = threat.distance(near, point), threat.distance(ideal, images)
        pull = (here / (here + there).clamp_min(torch.finfo(here.dtype).tiny)).clamp_max(self.alpha_max)
        onward = point + self.eta * (near - point)
        anew = images + self.eta * (ideal - images)
        return torch.lerp(onward, anew, per_example(pull, point)).clamp(*threat.bounds)


_ALL = 1_000_000
"""More classes than any model has: the untargeted attack looks at every one."""


def _progress(count: int, standing: int, share: float) -> Progress:
    return Progress(attack="FAB", decided=count - standing, count=count, share=share)
