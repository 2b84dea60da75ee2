"""What a training is told: every number that shapes the result."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from robustcnn.core.plain_data import did_you_mean, shown
from robustcnn.core.results import MONITORS
from robustcnn.core.threat import ThreatModel
from robustcnn.data.augment.policy import Augment
from robustcnn.train.freezing import check_freeze
from robustcnn.train.objectives.adversarial import Adversarial, Fast, Mixture
from robustcnn.train.objectives.certified import CrownIbp, Ibp, Sabr
from robustcnn.train.objectives.free import Free
from robustcnn.train.objectives.standard import Standard
from robustcnn.train.objectives.trades import Mart, Trades
from robustcnn.train.optimisation.optim import OptimConfig
from robustcnn.train.watch import OnOverfitting, WatchSuite

AnyObjective = Standard | Adversarial | Mixture | Fast | Free | Trades | Mart | Ibp | CrownIbp | Sabr
OBJECTIVES: dict[str, type[AnyObjective]] = {kind.name: kind for kind in get_args(AnyObjective)}


@dataclass(frozen=True, kw_only=True, slots=True)
class FitConfig:
    """How a model is trained."""

    epochs: int = 10
    """Passes over the training data, at most."""
    batch_size: int | Literal["full"] = 128
    """Examples a step; 1 is the classic stochastic descent, `full` the whole training set."""
    accumulate: int = 1
    """Work through each batch in so many parts before its one step: less memory, the same step but for batch norm."""
    checkpoint_activations: bool = False
    """Keep a block's input only and compute the rest again on the way back: less memory, a third more time."""
    sync_norm: bool = True
    """With several processes batch norm sees the whole batch, as one would; without it its part, with less waiting."""
    optim: OptimConfig = field(default_factory=OptimConfig)
    objective: AnyObjective = field(default_factory=Standard)
    augment: Augment = field(default_factory=Augment)
    l1: float = 0.0
    """lambda of the penalty lambda/m * sum |w|, m being the number of training examples."""
    l2: float = 0.0
    """lambda of the penalty lambda/m * sum w^2."""
    freeze: str = "none"
    """Layers that stay as they are, batch norm too: none, features (all but the last) or first:K (with weights)."""
    clip: float | None = None
    """Largest norm of the whole gradient; longer ones are scaled down to it."""
    ema: float | None = None
    """Decay of an exponential moving average of the weights (say 0.999), which is then what is judged and kept."""
    awp: float = 0.0
    """Each step descends from weights moved up by this share of every layer's norm (Wu et al. 2020), say 0.005."""
    watch: int = 1000
    """Of an adversarial objective: at most so many validation images are attacked after every epoch; 0 for none."""
    watch_suite: WatchSuite = "pgd"
    """What they meet besides FGSM: PGD of ten steps, or swift: nearly AutoAttack's answer for ten times the price."""
    on_overfitting: OnOverfitting = "warn"
    """When robust accuracy collapses and FGSM's does not: warn, stop, or go on from the best epoch (rollback)."""
    patience: int | None = None
    """Stop when the monitored metric has not improved for so many epochs."""
    monitor: str = "auto"
    """Picks the best epoch; auto: certified_accuracy for bounds, robust_accuracy where watched, else valid_loss."""
    seed: int = 0
    """Of the initial weights, the order of examples, augmentation and dropout."""

    def __post_init__(self) -> None:
        for name, usual in (("objective", "Standard() or Trades(beta=3)"), ("augment", "Augment(shift=2)")):
            value = getattr(self, name)
            if value is None or isinstance(value, str | type | dict):
                got = f"the class {value.__name__}" if isinstance(value, type) else shown(value)
                raise ValueError(f"{name} must be one such as {usual}, got {got}")
        if self.epochs < 1:
            raise ValueError(f"epochs must be at least 1, got {self.epochs}")
        if self.batch_size != "full" and self.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1 or 'full', got {self.batch_size}")
        if self.accumulate < 1 or (self.batch_size != "full" and self.accumulate > self.batch_size):
            raise ValueError(
                f"accumulate is the number of a batch's parts and must lie in [1, batch_size = {self.batch_size}], "
                f"got {self.accumulate}"
            )
        if min(self.l1, self.l2) < 0:
            raise ValueError(f"l1 and l2 must not be negative, got {self.l1:g} and {self.l2:g}")
        check_freeze(self.freeze)
        if self.clip is not None and not self.clip > 0:
            raise ValueError(f"clip must be positive, got {self.clip:g} (leave it out for no clipping)")
        if self.ema is not None and not 0 < self.ema < 1:
            raise ValueError(f"ema must lie strictly between 0 and 1, got {self.ema:g}")
        if self.patience is not None and self.patience < 1:
            raise ValueError(f"patience must be at least 1 epoch, got {self.patience}")
        if not 0 <= self.awp < 1:
            raise ValueError(f"awp must lie in [0, 1), got {self.awp:g} (0.005 is usual)")
        if self.watch < 0:
            raise ValueError(f"watch must not be negative, got {self.watch} (0 watches nothing)")
        if self.watch_suite not in get_args(WatchSuite):
            known = get_args(WatchSuite)
            raise ValueError(f"unknown watch_suite {self.watch_suite!r}{did_you_mean(self.watch_suite, known)}")
        if self.on_overfitting not in get_args(OnOverfitting):
            known = get_args(OnOverfitting)
            raise ValueError(
                f"unknown on_overfitting {self.on_overfitting!r}{did_you_mean(self.on_overfitting, known)}"
            )
        if self.monitor not in ("auto", *MONITORS):
            raise ValueError(f"unknown monitor {self.monitor!r}{did_you_mean(self.monitor, ('auto', *MONITORS))}")
        if self.monitor == "certified_accuracy" and not self.certifies:
            raise ValueError(
                f"monitor 'certified_accuracy' needs an objective about bounds, got {self.objective.name} "
                "(known: ibp, crown-ibp, sabr)"
            )
        if self.monitor in ("robust_accuracy", "fgsm_accuracy", "certified_accuracy") and self.watched is None:
            raise ValueError(
                f"monitor {self.monitor!r} needs an adversarial objective and watch above 0 "
                f"(known: {', '.join(OBJECTIVES)})"
            )

        if self.on_overfitting == "rollback" and self.certifies:
            raise ValueError(
                f"on_overfitting 'rollback' is for training against attacks, {self.objective.name} is about bounds "
                "(leave it at warn)"
            )
        if self.on_overfitting == "rollback" and self.watched is not None and self.monitored != "robust_accuracy":
            raise ValueError(
                f"on_overfitting 'rollback' goes back to the most robust epoch: monitor must be robust_accuracy, got "
                f"{self.monitor!r}"
            )

    @property
    def watched(self) -> ThreatModel | None:
        """The threat that every epoch is attacked with, if any."""
        return getattr(self.objective, "threat", None) if self.watch else None

    @property
    def certifies(self) -> bool:
        """Whether bounds are trained, and then counted after every epoch."""
        return getattr(self.objective, "certifies", False)

    @property
    def monitored(self) -> str:
        """What `monitor` comes to."""
        if self.monitor != "auto":
            return self.monitor
        if self.watched is None:
            return "valid_loss"
        return "certified_accuracy" if self.certifies else "robust_accuracy"
