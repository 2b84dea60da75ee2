"""One perturbation for all images (Moosavi-Dezfooli et al. 2017), found by projected ascent over batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from robustcnn.attacks.base import Guarded, check_batch, input_gradient
from robustcnn.core.losses import log_odds
from robustcnn.core.runtime import evaluating, frozen_weights, seeded
from robustcnn.core.threat import ThreatModel

CEILING = 9.0
"""Loss above which an example has nothing more to say (Shafahi et al. 2020): none may dominate the sum."""

SHARE = 0.1
"""l1 only: one pixel a step would be all that is ever changed."""


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class Universal(Guarded):
    """Every image gets the same perturbation: `fitted` on some images it is an attack on others."""

    epochs: int = 20
    """Passes over the images."""
    batch_size: int = 64
    """Images a gradient."""
    step_size: float | None = None
    """In pixel units, falling to zero over all epochs; eps when not given."""

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 1:
            raise ValueError(f"epochs and batch_size must be at least 1, got {self.epochs} and {self.batch_size}")

    def fit(
        self,
        model: nn.Module,
        images: Tensor,
        labels: Tensor,
        threat: ThreatModel,
        *,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """The perturbation (1, ...), inside the ball; for other images: threat.project(others + it, others)."""
        check_batch(images, labels, threat)
        generator = seeded(0, images.device) if generator is None else generator
        with torch.inference_mode(False), torch.no_grad(), evaluating(model), frozen_weights(model):
            return self._ascend(model, images.detach(), labels, threat, generator)

    def fitted(
        self, model: nn.Module, images: Tensor, labels: Tensor, threats: Sequence[ThreatModel], *, seed: int = 0
    ) -> Shared:
        """An attack that adds what was learnt on these images, one perturbation a threat, to all it is given."""
        changes = {
            str(threat): self.fit(model, images, labels, threat, generator=seeded(seed, images.device))
            for threat in threats
        }
        return Shared(name=f"{self!r} fitted on {len(images):,} images", changes=changes)

    def search(
        self, model: nn.Module, images: Tensor, labels: Tensor, threat: ThreatModel, generator: torch.Generator
    ) -> Tensor:
        return images + self._ascend(model, images, labels, threat, generator)

    def _ascend(
        self, model: nn.Module, images: Tensor, labels: Tensor, threat: ThreatModel, generator: torch.Generator
    ) -> Tensor:
        threat.refuse_infinite("Universal")
        change, radius = torch.zeros_like(images[:1]), images.new_full((1,), threat.one_eps)
        first = threat.one_eps if self.step_size is None else self.step_size
        # Farther no pixel can move: more of an l1 ball spent on it would be lost.
        most = threat.bounds[1] - threat.bounds[0]
        for epoch in range(self.epochs):
            size = first * (1 - epoch / self.epochs)
            order = torch.randperm(len(images), generator=generator, device=generator.device).to(images.device)
            for rows in order.split(self.batch_size):
                slope = self._slope(model, images[rows], labels[rows], change, threat)
                slope = slope.masked_fill((change.abs() >= most) & (slope * change > 0), 0)
                stepped = change + size * threat.steepest(slope, share=SHARE)
                change = threat.shrink(stepped.clamp(-most, most), radius)
        return change

    def _slope(self, model: nn.Module, images: Tensor, labels: Tensor, change: Tensor, threat: ThreatModel) -> Tensor:
        """Gradient of the batch's loss at the clipped images, as if clipping had slope one."""
        shown = (images + change).clamp(*threat.bounds)
        look = input_gradient(model, shown, lambda logits, part: log_odds(logits, labels[part]).clamp_max(CEILING))
        return look.gradient.sum(0, keepdim=True)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False, repr=False)
class Shared(Guarded):
    """Perturbations made before, one a threat: every image gets the same."""

    name: str
    changes: Mapping[str, Tensor]
    """By the threat's words; each (1, ...)."""

    def __repr__(self) -> str:
        return self.name

    def search(
        self,
        model: nn.Module,  # noqa: ARG002
        images: Tensor,
        labels: Tensor,  # noqa: ARG002
        threat: ThreatModel,
        generator: torch.Generator,  # noqa: ARG002
    ) -> Tensor:
        if str(threat) not in self.changes:
            raise ValueError(f"{self.name} knows {', '.join(self.changes)}, got {threat} (fit it for this threat too)")
        return threat.project(images + self.changes[str(threat)], images)
