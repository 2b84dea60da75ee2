"""One batch: the parts in which it is worked on, the loss on each, and the gradients of all together."""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from robustcnn.core.ranks import ALONE, Ranks
from robustcnn.core.rows import Draws, Rows
from robustcnn.core.runtime import Precision, autocast, halving, usable
from robustcnn.models import PixelModel
from robustcnn.train.objectives.standard import Loss, Scorer
from robustcnn.train.optimisation.awp import perturbed_weights
from robustcnn.train.optimisation.loss_scale import LossScale
from robustcnn.train.optimisation.penalties import Penalties
from robustcnn.train.settings import FitConfig
from robustcnn.train.shared_model import SharedModel


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """Some rows of a batch, attacked already where they are attacked."""

    rows: Rows
    labels: Tensor
    weights: Tensor | None
    loss: Loss


class Descent:
    """From a batch to the gradients on the weights."""

    def __init__(
        self,
        model: PixelModel,
        forward: nn.Module,
        config: FitConfig,
        *,
        examples: int,
        precision: Precision,
        ranks: Ranks = ALONE,
    ) -> None:
        self.model, self.forward, self.config, self.precision, self.ranks = model, forward, config, precision, ranks
        self.largest = sys.maxsize
        self.scale = LossScale(works=usable(precision, next(model.parameters()).device) == "fp16")
        self.penalties = Penalties.of(l1=config.l1, l2=config.l2, examples=examples)
        self.whole_batch = bool(getattr(config.objective, "whole_batch", False))
        self.shared = SharedModel(model, ranks, sync_norm=config.sync_norm, accumulate=config.accumulate)

    def __call__(
        self,
        scorer: Scorer,
        images: Tensor,
        labels: Tensor,
        weights: Tensor | None,
        total: int,
        generator: Draws,
        *,
        progress: float,
    ) -> Tensor:
        """Leave the gradients of one batch of `total` rows on the weights; gives its mean loss.

        Where memory does not suffice, the same is done in more parts, from then on.
        """
        if self.ranks.world > 1:
            # A process that began anew by itself would leave the others waiting.
            return self._descend(scorer, images, labels, weights, total, generator, progress)
        before = Before(self.model, generator, labels.device)
        usual = min(self.largest, math.ceil(len(labels) / self.config.accumulate))

        def descended(size: int) -> Tensor:
            if size < usual:
                self.largest = size
                before.restore()
                # Layers that draw have to draw for the whole batch from now on.
                self.shared.release()
                self.shared = SharedModel(
                    self.model, self.ranks, sync_norm=self.config.sync_norm, accumulate=math.ceil(len(labels) / size)
                )
                warnings.warn(f"memory is short: batches are worked on {size} images at a time", stacklevel=4)
            return self._descend(scorer, images, labels, weights, total, generator, progress)

        return halving(descended, usual)

    def _descend(
        self,
        scorer: Scorer,
        images: Tensor,
        labels: Tensor,
        weights: Tensor | None,
        total: int,
        generator: Draws,
        progress: float,
    ) -> Tensor:
        parts = list(self._parts(scorer, images, labels, weights, total, generator, progress))

        def slope(weights: list[Tensor]) -> Sequence[Tensor]:
            sums: tuple[Tensor, ...] = ()
            for loss in self._losses(parts, generator):
                found = torch.autograd.grad(self.scale.up(loss), weights)
                sums = torch._foreach_add(sums, found) if sums else found
            self.ranks.add_up(sums)
            return self.scale.direction(sums)

        awp = self.config.awp
        with perturbed_weights(self.model, slope, gamma=awp) if awp else nullcontext():
            value = self._backward(parts, generator)
        self.scale.down(self.model.parameters())
        self.penalties.add_gradients(self.model)
        if self.config.clip is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip)
        return value

    def _parts(
        self,
        scorer: Scorer,
        images: Tensor,
        labels: Tensor,
        weights: Tensor | None,
        total: int,
        generator: Draws,
        progress: float,
    ) -> Iterator[Part]:
        count = max(self.config.accumulate, math.ceil(len(labels) / self.largest))
        generator.weights = weights if self.whole_batch else None
        state = generator.get_state() if count > 1 else None
        parts = self.ranks.rows(total).parts(count)
        for number, rows in enumerate(parts):
            if state is not None:
                # Every part draws the same numbers of the whole batch, and takes its own.
                generator.set_state(state)
            self._work_on(rows, generator)
            # Of a tensor that holds this process's rows only, or all.
            place = rows if self.whole_batch else Rows(first=number, step=len(parts), total=len(labels))
            shown = (images, labels) if self.whole_batch else (_laid_out(place.of(images)), place.of(labels))
            yield Part(
                rows=rows,
                labels=place.of(labels),
                weights=None if weights is None else place.of(weights),
                loss=scorer(*shown, generator, progress=progress),
            )

    def _losses(self, parts: list[Part], generator: Draws) -> Iterator[Tensor]:
        """What each part has in the mean over the batch."""
        dropout = GlobalState(parts[0].labels.device) if len(parts) > 1 else None
        for part in parts:
            if dropout is not None:
                dropout.restore()
            self._work_on(part.rows, generator)
            with autocast(part.labels.device, self.precision):
                losses = part.loss(self.forward)
            mean = (losses if part.weights is None else losses * part.weights).mean()
            yield mean if part.rows.step == 1 else mean * part.rows.weight

    def _backward(self, parts: list[Part], generator: Draws) -> Tensor:
        """Gradients and loss of the whole batch."""
        value = torch.zeros((), device=parts[0].labels.device)
        for loss in self._losses(parts, generator):
            self.scale.up(loss).backward()
            value = value + loss.detach()
        self.shared.add_up([value])
        return value

    def _work_on(self, rows: Rows, generator: Draws) -> None:
        generator.rows = rows
        self.shared.work_on(rows)


class Before:
    """What a step that fails in its middle has to leave as it was: draws, running statistics, gradients."""

    def __init__(self, model: nn.Module, generator: torch.Generator, device: torch.device) -> None:
        self.model, self.generator, self.state = model, generator, generator.get_state()
        self.globally = GlobalState(device)
        self.buffers = list(model.buffers())
        self.values = [buffer.clone() for buffer in self.buffers]

    def restore(self) -> None:
        self.generator.set_state(self.state)
        self.globally.restore()
        self.model.zero_grad(set_to_none=True)
        with torch.no_grad():
            for buffer, value in zip(self.buffers, self.values, strict=True):
                buffer.copy_(value)


class GlobalState:
    """Of torch's own generators, from which dropout draws."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.host = device, torch.get_rng_state()
        self.gpu = torch.cuda.get_rng_state(device) if device.type == "cuda" else None

    def restore(self) -> None:
        torch.set_rng_state(self.host)
        if self.gpu is not None:
            torch.cuda.set_rng_state(self.gpu, self.device)


def _laid_out(images: Tensor) -> Tensor:
    return images.contiguous(memory_format=torch.channels_last)
