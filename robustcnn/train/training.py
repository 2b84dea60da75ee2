"""The state of one training, and what an epoch does to it."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

import torch
from torch import Tensor, nn

from robustcnn.core.ranks import ALONE, Ranks
from robustcnn.core.results import EpochMetrics, is_better
from robustcnn.core.rows import Draws
from robustcnn.core.runtime import Precision, derived_seed, global_seed, seeded, tuned_convolutions
from robustcnn.data.resident import ResidentDataset, as_pixels
from robustcnn.fast.live_view import LiveViews
from robustcnn.models import PixelModel
from robustcnn.train.descent import Descent
from robustcnn.train.freezing import Frozen
from robustcnn.train.judge import Judge
from robustcnn.train.objectives.standard import Scorer, Stage, begin
from robustcnn.train.optimisation.averaging import Averaged
from robustcnn.train.optimisation.optim import Optimizer
from robustcnn.train.pace import LateReader, Pace, check_precision, check_shares
from robustcnn.train.recompute import Recomputed
from robustcnn.train.settings import FitConfig
from robustcnn.train.watch import Watch, alarm, has_collapsed


class TrainingDiverged(ArithmeticError):
    """The loss stopped being a finite number."""


class Training:
    """A model on its way; `history` says how far it has come."""

    def __init__(
        self,
        model: PixelModel,
        train: ResidentDataset,
        validation: ResidentDataset,
        config: FitConfig,
        *,
        class_weights: Tensor | None = None,
        precision: Precision = "fp32",
        compiled: bool = False,
        progress: bool = True,
        ranks: Ranks = ALONE,
    ) -> None:
        _check(model, train, validation, class_weights)
        if compiled and config.checkpoint_activations:
            raise ValueError("compile and checkpoint_activations exclude each other: leave one of the two out")
        check_precision(precision)
        self.model = model.to(train.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.forward: nn.Module = torch.compile(self.model) if compiled else self.model  # type: ignore[assignment]
        self.views = LiveViews(compiled=compiled)
        self.train, self.config, self.precision = train, config, precision
        self.examples, self.validation = (_weighted(data, class_weights) for data in (train, validation))
        self.pace = Pace.of(len(train), len(train) if config.batch_size == "full" else config.batch_size)
        self.replays = getattr(config.objective, "replays", 1)
        self.steps_per_epoch = self.pace.batches * self.replays
        self.total_steps = config.epochs * self.steps_per_epoch
        self.frozen = Frozen(model, config.freeze)
        self.optimizer = Optimizer(model, config.optim, total_steps=self.total_steps)
        self.ranks = ranks
        self.averaged = None if config.ema is None else Averaged(model, config.ema)
        check_shares(len(train), config.batch_size, ranks)
        self.descent = Descent(
            self.model,
            self.forward,
            config,
            examples=len(train),
            precision=precision,
            ranks=ranks,
        )
        self.recomputed = Recomputed(self.model) if config.checkpoint_activations else None
        self.judge = Judge(self.validation, ranks, precision=precision)
        self.watch = _watch(validation, config, precision, ranks)
        self.progress = progress and ranks.leads
        self.history: tuple[EpochMetrics, ...] = ()
        self.best_weights: dict[str, Tensor] = {}

    @property
    def finished(self) -> bool:
        done, patience = len(self.history), self.config.patience
        best = max((metrics.epoch for metrics in self.history if metrics.best), default=0)
        stopped = self.config.on_overfitting == "stop" and self._collapses > 0
        return stopped or done >= self.config.epochs or (patience is not None and done - best >= patience)

    def epoch(self) -> EpochMetrics:
        """Train for one epoch, judge it, and remember the weights if they are the best so far."""
        number, start = len(self.history) + 1, time.perf_counter()
        if self._has_collapsed() and self.config.on_overfitting == "rollback":
            self._roll_back()
        # Every epoch has seeds of its own, so a resumed training needs no generator's state.
        with global_seed(derived_seed(self.config.seed, "dropout", number)):
            scorer = begin(self._objective(), self._stage())
            with tuned_convolutions():
                loss, rate = self._pass(number, scorer)
        trained = time.perf_counter()
        with self.judged_weights():
            # The loss that is trained decides: a plain one would pick the epoch that favours the common classes.
            scores = self.judge(self.model)
            watched = None if self.watch is None else self.watch(self.model)
            metrics = EpochMetrics(
                epoch=number,
                train_loss=loss,
                valid_loss=scores.loss,
                valid_accuracy=scores.accuracy,
                learning_rate=rate,
                images_per_second=len(self.train) / (trained - start),
                seconds=time.perf_counter() - start,
                robust_accuracy=watched and watched.robust,
                fgsm_accuracy=watched and watched.fgsm,
                certified_accuracy=watched and watched.certified,
            )
            if not math.isfinite(scores.loss):
                self.ranks.fail(_diverged(scores.loss, "validation loss", number * self.steps_per_epoch, number, rate))
            # All go by the same numbers, seconds included.
            metrics = self._agreed(metrics)
            if self._improves(metrics):
                metrics = replace(metrics, best=True)
                self.best_weights = {name: tensor.detach().clone() for name, tensor in self.model.state_dict().items()}
        self.history = (*self.history, metrics)
        new = self.config.on_overfitting != "warn" or self._collapses == 1
        if self.ranks.leads and self._has_collapsed() and new:
            cure = hasattr(self.config.objective, "cured")
            warnings.warn(alarm(self.history, self.config.on_overfitting, takes_noise=cure), stacklevel=2)
        return metrics

    def release(self) -> None:
        """The model's layers are what they were before."""
        self.frozen.release()
        self.descent.shared.release()
        if self.recomputed is not None:
            self.recomputed.release()

    def _agreed(self, metrics: EpochMetrics) -> EpochMetrics:
        return self.ranks.first(lambda: metrics)

    def judged_weights(self) -> AbstractContextManager[None]:
        """Inside the block the model carries the weights that are judged and kept: the averaged ones, if any."""
        return nullcontext() if self.averaged is None else self.averaged.in_place()

    def _improves(self, metrics: EpochMetrics) -> bool:
        name = self.config.monitored
        best, now = [getattr(past, name) for past in self.history if past.best], getattr(metrics, name)
        # Where nothing has been robust or proven yet, the first epoch is not the best, only the first.
        return not best or is_better(name, now, best[-1]) or (name != "valid_loss" and now == best[-1] == 0)

    def _has_collapsed(self, epochs: int | None = None) -> bool:
        # Bounds cannot be fooled, and say nothing before eps has grown.
        return not self.config.certifies and has_collapsed(self.history[:epochs], self.train.spec.num_classes)

    @property
    def _collapses(self) -> int:
        return sum(self._has_collapsed(epochs) for epochs in range(1, len(self.history) + 1))

    def _stage(self) -> Stage:
        probe = as_pixels(self.train.images[:8])
        ranks = self.ranks if self.config.sync_norm else ALONE
        return Stage(self.model, probe, self.precision, ranks, self.views)

    def _objective(self) -> object:
        objective = self.config.objective
        if self._collapses and self.config.on_overfitting == "rollback" and hasattr(objective, "cured"):
            return objective.cured()
        return objective

    def _roll_back(self) -> None:
        """Go on from the best epoch, as if its weights had just been loaded."""
        self.model.load_state_dict(self.best_weights)
        self.optimizer = Optimizer(self.model, self.config.optim, total_steps=self.total_steps)
        if self.config.ema is not None:
            self.averaged = Averaged(self.model, self.config.ema)

    def _pass(self, epoch: int, scorer: Scorer) -> tuple[float, float]:
        """(mean loss, last learning rate) of one pass over the training data."""
        generator = Draws.seeded(derived_seed(self.config.seed, "data", epoch), self.train.device)
        first = (epoch - 1) * self.steps_per_epoch

        def check(rows: list[list[float]], start: int) -> None:
            for index, (value,) in enumerate(rows, start=first + start + 1):
                if not math.isfinite(value):
                    self.ranks.fail(_diverged(value, "loss", index, epoch, rate))

        losses, rate = LateReader(self.train.device, check), 0.0
        self.model.train()
        self.frozen.hold()
        for step, batch in enumerate(self._batches(epoch, generator), start=first):
            loss = self.descent(scorer, *batch, generator, progress=step / self.total_steps)
            rate = self.optimizer.step(step, moves=not self.descent.scale.overflowed)
            if self.descent.scale.is_spent:
                self.ranks.fail(_diverged(math.inf, "gradient", step + 1, epoch, rate))
            if self.averaged is not None:
                self.averaged.update(step)
            losses.add(loss[None])
        (mean,) = losses.means()
        return mean, rate

    def _batches(self, epoch: int, generator: Draws) -> Iterator[tuple[Tensor, Tensor, Tensor | None, int]]:
        """Images, labels and weights of this process's rows, and how many all processes have."""
        batches = self.examples.weighted_batches(
            self.pace.batch_size,
            generator=generator,
            transform=self.config.augment,
            drop_last=self.pace.drop_last,
            part=None if self.descent.whole_batch else self.ranks.rows,
        )
        shown = self.pace.shown(batches, epoch, progress=self.progress)
        for (images, labels, weights), total in zip(shown, self.pace.sizes(), strict=True):
            for _ in range(self.replays):
                yield images.contiguous(memory_format=torch.channels_last), labels, weights, total


def _watch(validation: ResidentDataset, config: FitConfig, precision: Precision, ranks: Ranks) -> Watch | None:
    if config.watched is None:
        return None
    count = min(config.watch, len(validation))
    part = validation.sample(count, generator=seeded(derived_seed(config.seed, "watch")))
    suite, certifies = config.watch_suite, config.certifies
    return Watch(part, config.watched, precision=precision, suite=suite, certifies=certifies, ranks=ranks)


def _check(
    model: PixelModel,
    train: ResidentDataset,
    validation: ResidentDataset,
    class_weights: Tensor | None,
) -> None:
    ours, theirs = model.spec, train.spec
    if (ours.shape, ours.num_classes) != (theirs.shape, theirs.num_classes):
        raise ValueError(
            f"the model takes {ours.shape} pictures of {ours.num_classes} classes, the training data are "
            f"{theirs.shape} of {theirs.num_classes} (build the model with train.spec)"
        )
    if not len(train) or not len(validation):
        raise ValueError(f"training needs examples: got {len(train)} to train and {len(validation)} to validate on")
    if class_weights is not None and class_weights.shape != (ours.num_classes,):
        raise ValueError(
            f"class_weights needs one weight a class ({ours.num_classes}), got {tuple(class_weights.shape)}"
        )


def _weighted(data: ResidentDataset, class_weights: Tensor | None) -> ResidentDataset:
    """Each example's weight times that of its class."""
    if class_weights is None:
        return data
    weights = class_weights.to(data.labels.device)[data.labels]
    return replace(data, weights=weights if data.weights is None else weights * data.weights)


def _diverged(value: float, what: str, step: int, epoch: int, rate: float) -> TrainingDiverged:
    return TrainingDiverged(
        f"the {what} became {value} at step {step} (epoch {epoch}, learning rate {rate:g}): the usual cure is a lower "
        "learning rate (--fit.optim.lr), a warm-up (--fit.optim.warmup 0.1) or clipped gradients (--fit.clip 1); "
        "the checkpoint of the last finished epoch, if there is one, is untouched"
    )
