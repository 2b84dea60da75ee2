"""Fitting anything: float tensors in, a loss of one's own, no pictures and no classes needed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn

from robustcnn.core.runtime import derived_seed, evaluating, global_seed, seeded
from robustcnn.train.optimisation.optim import OptimConfig, Optimizer
from robustcnn.train.training import TrainingDiverged

Loss = Callable[[Tensor, Tensor], Tensor]
"""Of outputs and targets, the mean over the batch: `F.cross_entropy`, `F.mse_loss`."""
Change = Callable[[Tensor, Tensor, torch.Generator], tuple[Tensor, Tensor]]
"""Random variations of a batch of inputs and targets."""


class Pairs(NamedTuple):
    """Inputs and targets of some examples, along the first axis."""

    inputs: Tensor
    targets: Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class TensorFit:
    """How it is trained."""

    epochs: int = 10
    batch_size: int = 64
    optim: OptimConfig = field(default_factory=lambda: OptimConfig(name="adam", lr=1e-3, schedule="cosine"))
    patience: int | None = None
    """Stop when the validation loss has not fallen for so many epochs."""
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "patience"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")


@dataclass(frozen=True, kw_only=True, slots=True)
class TensorEpoch:
    """What one pass over the training examples came to."""

    epoch: int
    train_loss: float
    valid_loss: float
    learning_rate: float
    seconds: float
    best: bool

    def __str__(self) -> str:
        ratio = self.train_loss / self.valid_loss if self.valid_loss else math.nan
        numbers = f"{self.train_loss:11.5f} {self.valid_loss:11.5f} {ratio:9.3f} {self.learning_rate:10.2e}"
        return f"{self.epoch:5} {numbers} {self.seconds:6.1f}s{' *' if self.best else ''}"


HEAD = "epoch  train loss  valid loss  train/val  learn rate   time"


def fit_tensors(
    model: nn.Module,
    train: Pairs,
    validation: Pairs,
    loss: Loss,
    config: TensorFit | None = None,
    *,
    change: Change | None = None,
) -> Iterator[TensorEpoch]:
    """Train `model`, yielding every epoch; afterwards it carries the weights of the least validation loss."""
    config = config or TensorFit()
    if not len(train.inputs) or not len(validation.inputs):
        raise ValueError(
            f"training needs examples: got {len(train.inputs)} to train, {len(validation.inputs)} to validate"
        )
    steps = math.ceil(len(train.inputs) / config.batch_size)
    optimizer = Optimizer(model, config.optim, total_steps=config.epochs * steps)
    best, best_epoch, kept = math.inf, 0, dict[str, Tensor]()
    for epoch in range(1, config.epochs + 1):
        start = time.perf_counter()
        draws = seeded(derived_seed(config.seed, "tensors", epoch))
        model.train()
        total, rate = 0.0, 0.0
        with global_seed(derived_seed(config.seed, "dropout", epoch)):
            parts = torch.randperm(len(train.inputs), generator=draws).split(config.batch_size)
            for number, part in enumerate(parts, start=(epoch - 1) * steps):
                batch = train.inputs[part], train.targets[part]
                inputs, targets = batch if change is None else change(*batch, draws)
                value = loss(model(inputs), targets)
                if not math.isfinite(value.item()):
                    raise TrainingDiverged(
                        f"the loss became {value.item()} at step {number + 1} (epoch {epoch}): the usual cure is a "
                        "lower learning rate (optim.lr) or a warm-up (optim.warmup)"
                    )
                value.backward()
                rate = optimizer.step(number)
                total += value.item() * len(part)
        valid = mean_loss(model, validation, loss)
        improved = valid < best
        if improved:
            best, best_epoch = valid, epoch
            kept = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
        yield TensorEpoch(
            epoch=epoch,
            train_loss=total / len(train.inputs),
            valid_loss=valid,
            learning_rate=rate,
            seconds=time.perf_counter() - start,
            best=improved,
        )
        if config.patience is not None and epoch - best_epoch >= config.patience:
            break
    model.load_state_dict(kept)


@torch.no_grad()
def mean_loss(model: nn.Module, pairs: Pairs, loss: Loss, *, chunk: int = 256) -> float:
    """In evaluation mode, over all examples."""
    total = 0.0
    with evaluating(model):
        for inputs, targets in zip(pairs.inputs.split(chunk), pairs.targets.split(chunk), strict=True):
            total += loss(model(inputs), targets).item() * len(inputs)
    return total / len(pairs.inputs)
