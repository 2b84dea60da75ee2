"""Cross-entropy on what can be proven: the worst logits that bounds allow, anywhere in the ball."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from robustcnn.certify.folding import folded
from robustcnn.certify.graph import trace
from robustcnn.certify.margins import margin_rows
from robustcnn.certify.network import EXACT, Network
from robustcnn.certify.region import Region
from robustcnn.core.losses import cross_entropy
from robustcnn.core.rows import rows_of
from robustcnn.core.threat import ThreatModel
from robustcnn.train.objectives.adversarial import Adversarial
from robustcnn.train.objectives.clean_statistics import CleanStatistics
from robustcnn.train.objectives.robust import Crafting, Robust
from robustcnn.train.objectives.standard import Loss, Scorer, Stage

Places = Callable[[Tensor, Tensor, ThreatModel, torch.Generator], Region]
"""Where the pictures of a batch, with their labels, may be."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Certified(Robust, ABC):
    """An objective on bounds, beside the clean cross-entropy.

    eps stays at 0 for the share `clean` of the training and then grows until `warmup`, while the clean loss's share
    falls from 1 to `kappa`: bounds of a network that has not learnt to keep them close say nothing.
    """

    warmup: float = 0.6
    """Share of the training after which eps is whole."""
    clean: float = 0.02
    """Share of the training before eps begins to grow."""
    kappa: float = 0.5
    """Share of the clean cross-entropy in the loss once eps is whole."""

    certifies: ClassVar[bool] = True

    def __post_init__(self) -> None:
        Robust.__post_init__(self)
        if not 0 <= self.clean <= self.warmup:
            raise ValueError(f"clean must lie in [0, warmup = {self.warmup:g}], got {self.clean:g}")
        if not 0 <= self.kappa <= 1:
            raise ValueError(f"kappa is the share of the clean loss and must lie in [0, 1], got {self.kappa:g}")
        if self.threat.norm != "linf":
            raise ValueError(
                f"bounds are trained for linf only, got {self.threat.norm} (train against an attack instead)"
            )

    def ramp(self, progress: float) -> float:
        """How far eps has grown, from 0 to 1."""
        if progress >= self.warmup:
            return 1.0
        return max(progress - self.clean, 0.0) / (self.warmup - self.clean)

    def threat_at(self, progress: float) -> ThreatModel:
        return replace(self.threat, eps=self.ramp(progress) * self.threat.eps)

    def begin(self, stage: Stage) -> Scorer:
        return Bounding(self, stage)

    def places(self, stage: Stage) -> Places:  # noqa: ARG002
        """Of an epoch: where the pictures of a batch may be."""
        return lambda images, labels, threat, generator: Region.of(images, threat, images.dtype)  # noqa: ARG005

    @abstractmethod
    def margins(self, network: Network, region: Region, labels: Tensor, ramp: float) -> Tensor:
        """Lower bounds (N, K) of each true logit minus every logit."""


class Bounding:
    """One epoch of an objective on bounds."""

    def __init__(self, objective: Certified, stage: Stage) -> None:
        self.objective, self.stage, self.places = objective, stage, objective.places(stage)
        self.traced = trace(stage.model, stage.probe[0])
        self.statistics = CleanStatistics(self.traced.model, stage.ranks)

    def __call__(self, images: Tensor, labels: Tensor, generator: torch.Generator, *, progress: float) -> Loss:
        objective, ramp = self.objective, self.objective.ramp(progress)
        if not ramp:
            return lambda model: objective.errors(model(images), labels)
        region = self.places(images, labels, objective.threat_at(progress), generator)
        weight = float(rows_of(generator, len(images)).count > 0)
        return lambda model: self._loss(model, images, region, labels, ramp, weight)

    def _loss(
        self, model: nn.Module, images: Tensor, region: Region, labels: Tensor, ramp: float, weight: float
    ) -> Tensor:
        kappa = 1 - ramp * (1 - self.objective.kappa)
        logits, network = self._network(model, images, weight, clean=kappa > 0)
        proven = cross_entropy(-self.objective.margins(folded(network), region, labels, ramp), labels)
        return kappa * self.objective.errors(logits, labels) + (1 - kappa) * proven if kappa else proven

    def _network(self, model: nn.Module, images: Tensor, weight: float, *, clean: bool) -> tuple[Tensor, Network]:
        """The logits of a clean pass, where they are needed, and the layers as that pass met them."""
        if self.statistics.norms:
            # Of the model itself: a compiled one does not say what its layers meet.
            logits, instead = self.statistics.of(self.stage.model, images, weight)
            return logits, self.traced.network(instead=instead)
        return model(images) if clean else images, self.traced.network()


def interval_margins(network: Network, region: Region, labels: Tensor) -> Tensor:
    """By intervals, the last affine layers and the difference of logits taken as one."""
    boxes = network.intervals(region, EXACT)
    rows = margin_rows(boxes[network.output].low, labels)
    return network.least(network.output, rows, boxes, region, rounding=EXACT, stops=network.bent)


@dataclass(frozen=True, kw_only=True, slots=True)
class Ibp(Certified):
    """Interval bounds (Gowal et al. 2018): two passes more, and no attack."""

    name: ClassVar[str] = "ibp"

    def margins(self, network: Network, region: Region, labels: Tensor, ramp: float) -> Tensor:  # noqa: ARG002
        return interval_margins(network, region, labels)


@dataclass(frozen=True, kw_only=True, slots=True)
class CrownIbp(Certified):
    """Linear bounds through layers in intervals, which give way to intervals as eps grows (Zhang et al. 2020)."""

    linear: float = 0.0
    """Share of the linear bounds once eps is whole."""

    name: ClassVar[str] = "crown-ibp"

    def __post_init__(self) -> None:
        Certified.__post_init__(self)
        if not 0 <= self.linear <= 1:
            raise ValueError(f"linear is the share of the linear bounds and must lie in [0, 1], got {self.linear:g}")

    def margins(self, network: Network, region: Region, labels: Tensor, ramp: float) -> Tensor:
        boxes = network.intervals(region, EXACT)
        rows = margin_rows(boxes[network.output].low, labels)
        share = 1 - ramp * (1 - self.linear)
        by_intervals = network.least(network.output, rows, boxes, region, rounding=EXACT, stops=network.bent)
        if not share:
            return by_intervals
        return share * network.least(network.output, rows, boxes, region, rounding=EXACT) + (1 - share) * by_intervals


@dataclass(frozen=True, kw_only=True, slots=True)
class Sabr(Certified):
    """Interval bounds of a small box round what PGD found in the ball (Müller et al. 2023)."""

    box: float = 0.5
    """Side of the small box as a share of the ball's; 1 is `ibp`."""
    steps: int = 8
    """Gradients that the attack takes."""
    kappa: float = 0.0
    """Share of the clean cross-entropy in the loss once eps is whole."""

    name: ClassVar[str] = "sabr"

    def __post_init__(self) -> None:
        Certified.__post_init__(self)
        if not 0 < self.box <= 1:
            raise ValueError(f"box is the small box's share of the ball and must lie in (0, 1], got {self.box:g}")

    def places(self, stage: Stage) -> Places:
        crafting = Crafting(Adversarial(threat=self.threat, steps=self.steps), stage)

        def small_boxes(images: Tensor, labels: Tensor, threat: ThreatModel, generator: torch.Generator) -> Region:
            inner, outer = (replace(threat, eps=share * threat.eps) for share in (self.box, 1 - self.box))
            found = crafting.craft(images, labels, outer, generator) if outer.eps else images
            return Region.of(found, inner, images.dtype)

        return small_boxes

    def margins(self, network: Network, region: Region, labels: Tensor, ramp: float) -> Tensor:  # noqa: ARG002
        return interval_margins(network, region, labels)
