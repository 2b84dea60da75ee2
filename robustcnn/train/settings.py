"""What a training is told: every number that shapes the result."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from robustcnn.data.augment import Augment
from robustcnn.plain import did_you_mean
from robustcnn.results import MONITORS
from robustcnn.train.objectives import Standard
from robustcnn.train.optim import OptimConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class FitConfig:
    """How a model is trained."""

    epochs: int = 10
    """Passes over the training data, at most."""
    batch_size: int | Literal["full"] = 128
    """Examples a step; 1 is the classic stochastic descent, `full` the whole training set."""
    optim: OptimConfig = field(default_factory=OptimConfig)
    objective: Standard = field(default_factory=Standard)
    augment: Augment = field(default_factory=Augment)
    l1: float = 0.0
    """lambda of the penalty lambda/m * sum |w|, m being the number of training examples."""
    l2: float = 0.0
    """lambda of the penalty lambda/m * sum w^2."""
    clip: float | None = None
    """Largest norm of the whole gradient; longer ones are scaled down to it."""
    ema: float | None = None
    """Decay of an exponential moving average of the weights (say 0.999), which is then what is judged and kept."""
    patience: int | None = None
    """Stop when the monitored metric has not improved for so many epochs."""
    monitor: str = "valid_loss"
    """The recorded metric that picks the best epoch and stops early."""
    seed: int = 0
    """Of the initial weights, the order of examples, augmentation and dropout."""

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise ValueError(f"epochs must be at least 1, got {self.epochs}")
        if self.batch_size != "full" and self.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1 or 'full', got {self.batch_size}")
        if min(self.l1, self.l2) < 0:
            raise ValueError(f"l1 and l2 must not be negative, got {self.l1:g} and {self.l2:g}")
        if self.clip is not None and not self.clip > 0:
            raise ValueError(f"clip must be positive, got {self.clip:g} (leave it out for no clipping)")
        if self.ema is not None and not 0 < self.ema < 1:
            raise ValueError(f"ema must lie strictly between 0 and 1, got {self.ema:g}")
        if self.patience is not None and self.patience < 1:
            raise ValueError(f"patience must be at least 1 epoch, got {self.patience}")
        if self.monitor not in MONITORS:
            raise ValueError(f"unknown monitor {self.monitor!r}{did_you_mean(self.monitor, MONITORS)}")
