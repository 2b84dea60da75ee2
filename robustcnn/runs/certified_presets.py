"""Trainings for bounds that have a name."""

from __future__ import annotations

from dataclasses import replace

from robustcnn.core.threat import ThreatModel
from robustcnn.data.augment.policy import Augment
from robustcnn.data.registry import DataConfig
from robustcnn.models import ModelConfig
from robustcnn.runs.train_config import TrainConfig
from robustcnn.train import CrownIbp, FitConfig, Ibp, OptimConfig


def _proven(data: str, objective: Ibp | CrownIbp, *, epochs: int, batch_size: int = 128) -> TrainConfig:
    """Strides instead of pooling, small first weights, and an eps that grows at first."""
    fit = FitConfig(
        epochs=epochs,
        batch_size=batch_size,
        optim=OptimConfig(name="adam", lr=3e-3, schedule="cosine", warmup=0.03),
        objective=objective,
        clip=10.0,
        watch=500,
    )
    model = ModelConfig(name="stridedcnn", width=0.5, narrow_init=True)
    return TrainConfig(data=DataConfig(name=data), model=model, fit=fit)


def _deep(data: str, objective: Ibp, *, epochs: int) -> TrainConfig:
    """Six layers with batch norm."""
    config = _proven(data, objective, epochs=epochs, batch_size=80)
    return replace(config, model=ModelConfig(name="provablecnn", narrow_init=True))


def _digits() -> TrainConfig:
    """A thousand pictures are learnt by heart unless they are moved a little: proven and attacked then part."""
    config = _proven("digits", Ibp(threat=_linf(0.1), warmup=0.3, kappa=0.0), epochs=60, batch_size=32)
    optim, augment = replace(config.fit.optim, lr=2e-3), Augment(shift=1, rotate=10.0)
    return replace(config, fit=replace(config.fit, optim=optim, augment=augment))


def _linf(eps: float) -> ThreatModel:
    return ThreatModel(norm="linf", eps=eps)


CERTIFIED: dict[str, tuple[str, TrainConfig]] = {
    "digits-ibp-quick": (
        "interval bounds on the embedded digits against linf 0.1: a minute or two",
        _digits(),
    ),
    "mnist-ibp": (
        "interval bound propagation (Gowal et al. 2018) on MNIST against linf 0.3: forty minutes",
        _deep("mnist", Ibp(threat=_linf(0.3), warmup=0.4, kappa=0.4), epochs=36),
    ),
    "mnist-crown-ibp": (
        "CROWN-IBP (Zhang et al. 2020) on MNIST against linf 0.3",
        _proven("mnist", CrownIbp(threat=_linf(0.3), warmup=0.5), epochs=20),
    ),
    "fashion-ibp": (
        "interval bound propagation on Fashion-MNIST against linf 0.1: eleven minutes",
        _deep("fashion-mnist", Ibp(threat=_linf(0.1), warmup=0.4, kappa=0.4), epochs=16),
    ),
}
"""What each is for, and its config."""
