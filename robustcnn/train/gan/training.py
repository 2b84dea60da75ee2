"""The state of one pre-training, and what an epoch does to it."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager
from functools import partial
from typing import get_args

import torch
from torch import Tensor, nn

from robustcnn.core.ranks import ALONE, Ranks
from robustcnn.core.rows import Rows
from robustcnn.core.runtime import WideRange, autocast, derived_seed, frozen_weights, seeded
from robustcnn.data.resident import ResidentDataset
from robustcnn.models import PixelModel
from robustcnn.models.dcgan import Generator
from robustcnn.train.gan.frechet import Features, random_features
from robustcnn.train.gan.loss import discriminator_loss, generator_loss
from robustcnn.train.gan.metrics import GanMetrics
from robustcnn.train.gan.settings import GanConfig
from robustcnn.train.gan.watch import GanAlarm, SampleWatch, alarm
from robustcnn.train.optimisation.optim import OptimConfig, Optimizer
from robustcnn.train.pace import LateReader, Pace, check_precision, check_shares
from robustcnn.train.shared_model import SharedModel
from robustcnn.train.training import TrainingDiverged

PER_STEP = (
    "generator_loss",
    "discriminator_loss",
    "accuracy_on_real",
    "accuracy_on_generated",
    "generator_gradient",
    "discriminator_gradient",
)


class GanTraining:
    """Two networks on their way; `history` says how far they have come."""

    def __init__(
        self,
        generator: Generator,
        discriminator: PixelModel,
        data: ResidentDataset,
        config: GanConfig,
        *,
        features: Features | None = None,
        precision: WideRange = "fp32",
        progress: bool = True,
        ranks: Ranks = ALONE,
    ) -> None:
        _check(generator, discriminator, data)
        check_precision(precision, get_args(WideRange))
        for net in (generator, discriminator):
            net.to(data.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.generator, self.discriminator = generator, discriminator
        self.data, self.config, self.precision = data, config, precision
        self.pace, self.ranks = Pace.of(len(data), config.batch_size), ranks
        check_shares(len(data), config.batch_size, ranks)
        self.shared = {
            name: SharedModel(net, ranks, sync_norm=config.sync_norm)
            for name, net in {"generator": generator, "discriminator": discriminator}.items()
        }
        self.optimizers = {
            "generator": _adam(generator, config.rate_of_generator, config),
            "discriminator": _adam(discriminator, config.lr, config),
        }
        self.watch = SampleWatch(
            data,
            features or random_features(data.spec),
            latent=generator.config.latent,
            count=min(config.samples, len(data)),
            seed=config.seed,
        )
        self.progress = progress and ranks.leads
        self.history: tuple[GanMetrics, ...] = ()

    @property
    def finished(self) -> bool:
        return len(self.history) >= self.config.epochs

    def epoch(self) -> GanMetrics:
        """Train for one epoch and judge the generator's samples."""
        number, start = len(self.history) + 1, time.perf_counter()
        means = self._pass(number)
        trained = time.perf_counter()

        def judged() -> GanMetrics:
            diversity, frechet = self.watch(self.generator)
            return GanMetrics(
                epoch=number,
                **dict(zip(PER_STEP, means, strict=True)),
                diversity=diversity,
                frechet=frechet,
                images_per_second=len(self.data) / (trained - start),
                seconds=time.perf_counter() - start,
            )

        metrics = self.ranks.first(judged)
        self.history = (*self.history, metrics)
        for trouble in alarm(self.history) if self.ranks.leads else []:
            warnings.warn(GanAlarm(trouble), stacklevel=2)
        return metrics

    def take_over(self) -> None:
        """The first process's weights."""
        for shared in self.shared.values():
            shared.take_over()

    def release(self) -> None:
        """The networks' layers are what they were."""
        for shared in self.shared.values():
            shared.release()

    def _pass(self, epoch: int) -> list[float]:
        """Means of PER_STEP over one pass over the data."""
        self.generator.train()
        self.discriminator.train()
        check = partial(_refuse_infinities, epoch=epoch, config=self.config, ranks=self.ranks)
        values = LateReader(self.data.device, check)
        for images, latents, rows in self._batches(epoch):
            values.add(self.step(images, latents, rows))
        return values.means()

    def _batches(self, epoch: int) -> Iterator[tuple[Tensor, Tensor, Rows]]:
        """Real images, as many latent vectors, and which rows of the batch of all processes they are.

        Every epoch has seeds of its own, so resuming needs no state.
        """
        order, draws = (
            seeded(derived_seed(self.config.seed, what, epoch), self.data.device) for what in ("data", "latents")
        )
        size, part = self.pace.batch_size, self.ranks.rows
        batches = self.data.batches(size, generator=order, drop_last=self.pace.drop_last, part=part)
        shown = self.pace.shown(batches, epoch, progress=self.progress)
        for (images, _), total in zip(shown, self.pace.sizes(), strict=True):
            rows = part(total)
            latents = torch.randn((total, self.generator.config.latent), generator=draws, device=self.data.device)
            yield images.contiguous(memory_format=torch.channels_last), rows.of(latents), rows

    def step(self, images: Tensor, latents: Tensor, rows: Rows | None = None) -> Tensor:
        """Move the discriminator, then the generator against it; gives the values of PER_STEP."""
        rows = rows or Rows(total=len(images))
        for shared in self.shared.values():
            shared.work_on(rows)
        with self._cast():
            made = self.generator(latents)
        means = self._move_discriminator(images, made.detach(), rows)
        discriminator_gradient = self._stepped("discriminator", self.discriminator, means)
        # Without its weights' gradients, which nobody needs here, this pass costs a third less.
        with frozen_weights(self.discriminator), self._cast():
            opposed = rows.weight * generator_loss(self.config.loss, self.discriminator(made).float())
        opposed.backward()
        opposed = opposed.detach()
        generator_gradient = self._stepped("generator", self.generator, opposed)
        return torch.cat([opposed[None], means, torch.stack([generator_gradient, discriminator_gradient])])

    def _move_discriminator(self, images: Tensor, made: Tensor, rows: Rows) -> Tensor:
        """Gives what these rows have in its loss and its two accuracies."""
        # One after the other: batch norm must not let the two kinds see each other.
        with self._cast():
            on_real, on_made = (self.discriminator(each).float() for each in (images, made))
        loss = discriminator_loss(self.config.loss, on_real, on_made, real_label=self.config.real_label)
        (rows.weight * loss).backward()
        accuracies = ((on_real > 0).float().mean(), (on_made < 0).float().mean())
        return rows.weight * torch.stack([loss.detach(), *accuracies])

    def _stepped(self, name: str, net: nn.Module, means: Tensor) -> Tensor:
        """Take a step along the gradients, which are cleared; gives their norm, and means over all processes."""
        self.shared[name].add_up([means])
        norm = nn.utils.get_total_norm(each.grad for each in net.parameters() if each.grad is not None)
        self.optimizers[name].step(len(self.history))
        return norm

    def _cast(self) -> AbstractContextManager[object]:
        return autocast(self.data.device, self.precision)


def _adam(net: nn.Module, rate: float, config: GanConfig) -> Optimizer:
    return Optimizer(
        net, OptimConfig(name="adam", lr=rate, schedule="constant", momentum=config.beta1), total_steps=config.epochs
    )


def _check(generator: Generator, discriminator: PixelModel, data: ResidentDataset) -> None:
    for name, net in (("generator", generator), ("discriminator", discriminator)):
        if net.spec.shape != data.spec.shape:
            raise ValueError(
                f"the {name} is made for {net.spec.shape} pictures, the data are {data.spec.shape} "
                "(build it with the data's spec)"
            )
    if len(data) < 2:
        raise ValueError(f"pre-training needs at least 2 images, got {len(data)}")


def _refuse_infinities(rows: list[list[float]], start: int, *, epoch: int, config: GanConfig, ranks: Ranks) -> None:
    for number, row in enumerate(rows, start=start + 1):
        for name, value in zip(PER_STEP, row, strict=True):
            if not math.isfinite(value):
                problem = TrainingDiverged(
                    f"the {name.replace('_', ' ')} became {value} at step {number} of epoch {epoch} (learning rates "
                    f"{config.lr:g} and {config.rate_of_generator:g}): the usual cure is a lower one (--fit.lr); the "
                    "checkpoint of the last finished epoch, if there is one, is untouched"
                )
                ranks.fail(problem)
