"""What training descends: a loss per example, from a model and a batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from robustcnn.core.losses import cross_entropy
from robustcnn.core.ranks import ALONE, Ranks
from robustcnn.core.rows import Draws, rows_of
from robustcnn.core.runtime import Precision
from robustcnn.data.augment.policy import blend, draw_mixup
from robustcnn.fast.live_view import LiveViews

Loss = Callable[[nn.Module], Tensor]
"""Of a model in training mode: one value for each example of the batch at hand."""


class Objective(Protocol):
    """Anything that scores a batch while the model is in training mode.

    One that has to do something before, such as attacking the batch, has a method `begin` instead: it is called with
    the `Stage` at the start of every epoch, and what it gives is a `Scorer`. Nothing outlives an epoch, so that a
    resumed training needs no more than the weights.

    Where a batch is worked on in parts, by several processes or one after the other, it is given one part. One whose
    examples meet says `whole_batch = True`: it is given all of it, and answers for the rows that `rows_of` names.
    """

    def __call__(self, model: nn.Module, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor: ...


class Stage(NamedTuple):
    """Where an epoch takes place."""

    model: nn.Module
    """The one that is being trained."""
    probe: Tensor
    """A few training images."""
    precision: Precision
    ranks: Ranks = ALONE
    """The processes that batch norm sees the rows of."""
    views: LiveViews = LiveViews()
    """Where an attack gets its fast view."""


class Scorer(Protocol):
    """Prepares a batch, and gives the loss on it; `progress` is the share of the whole training that lies behind."""

    def __call__(self, images: Tensor, labels: Tensor, generator: torch.Generator, *, progress: float) -> Loss: ...


def begin(objective: object, stage: Stage) -> Scorer:
    """The scorer of an epoch, for objectives of both kinds."""
    if hasattr(objective, "begin"):
        scorer: Scorer = objective.begin(stage)
        return scorer

    def score(images: Tensor, labels: Tensor, generator: torch.Generator, *, progress: float) -> Loss:  # noqa: ARG001
        return same_draw(generator, lambda model: objective(model, images, labels, generator))  # type: ignore[operator]

    return score


def same_draw(generator: torch.Generator, loss: Loss) -> Loss:
    """The loss of one batch: asked again, from moved weights say, it draws the same numbers."""
    state = generator.get_state()

    def again(model: nn.Module) -> Tensor:
        generator.set_state(state)
        return loss(model)

    return again


@dataclass(frozen=True, kw_only=True, slots=True)
class Standard:
    """Cross-entropy on the training pictures as they are."""

    label_smoothing: float = 0.0
    """Share of the target spread evenly over all classes."""
    mixup: float = 0.0
    """When above 0, pictures and labels are blended in pairs with a share drawn from Beta(mixup, mixup)."""

    name: ClassVar[str] = "standard"

    def __post_init__(self) -> None:
        check_smoothing(self.label_smoothing)
        if self.mixup < 0:
            raise ValueError(f"mixup must not be negative, got {self.mixup:g}")

    def __call__(self, model: nn.Module, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        if not self.mixup:
            return cross_entropy(model(images), labels, smoothing=self.label_smoothing)
        share, partner = draw_mixup(images, self.mixup, generator)
        rows = rows_of(generator, len(images))
        logits = model(rows.of(blend(images, share, partner)))
        # Cross-entropy is linear in the target, so the blended label needs no vector of probabilities.
        targets = (rows.of(each) for each in (labels, labels[partner]))
        own, other = (cross_entropy(logits, each, smoothing=self.label_smoothing) for each in targets)
        losses = rows.of(share) * own + (1 - rows.of(share)) * other
        weights = generator.weights if isinstance(generator, Draws) else None
        # An example that is there twice is a partner twice as often; as the first of the pair it is counted by others.
        return losses if weights is None else losses * rows.of(weights[partner])

    @property
    def whole_batch(self) -> bool:
        """Partners may be among any rows."""
        return self.mixup > 0


def check_smoothing(share: float) -> None:
    if not 0 <= share < 1:
        raise ValueError(f"label_smoothing must lie in [0, 1), got {share:g}")
