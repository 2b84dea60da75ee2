"""Results as plain frozen values; tables, plots and trackers are views of them."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True, kw_only=True, slots=True)
class EpochMetrics:
    """What one pass over the training data brought."""

    epoch: int
    """Counted from 1."""
    train_loss: float
    """Mean over the (augmented) training examples while the weights moved, penalties left out."""
    valid_loss: float
    valid_accuracy: float
    learning_rate: float
    """At the epoch's last step."""
    images_per_second: float
    """Training images; the validation pass is not counted."""
    seconds: float
    """The whole epoch, validation included."""
    best: bool = False
    """Whether the monitored metric was never better before."""

    @property
    def train_over_valid(self) -> float:
        """Well below 1: overfitting."""
        return self.train_loss / self.valid_loss if self.valid_loss else float("nan")

    def __str__(self) -> str:
        return ROW.format(
            epoch=self.epoch,
            train=self.train_loss,
            valid=self.valid_loss,
            ratio=self.train_over_valid,
            accuracy=100 * self.valid_accuracy,
            rate=self.learning_rate,
            speed=self.images_per_second,
            seconds=self.seconds,
            star="*" if self.best else "",
        )


HEADER = "epoch  train loss  valid loss  train/valid  valid acc  learn. rate   images/s    time"
ROW = (
    "{epoch:>5}  {train:>10.4f}  {valid:>10.4f}  {ratio:>11.3f}  {accuracy:>8.2f}%  {rate:>11.2e}  {speed:>9,.0f}"
    "  {seconds:>5.1f}s {star}"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Scores:
    """How a model did on one data set."""

    count: int
    loss: float
    accuracy: float


MONITORS = tuple(field.name for field in fields(EpochMetrics) if field.name not in ("epoch", "best"))
"""The recorded metrics that early stopping can watch."""


def is_better(metric: str, new: float, old: float) -> bool:
    """Higher is better for accuracies, lower for everything else."""
    return new > old if "accuracy" in metric else new < old
