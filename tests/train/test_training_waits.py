"""A training step asks a device for nothing: the host only ever launches work."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from fitting import fresh, parts
from waiting_noted import Waits, far_away

from robustcnn import FitConfig, OptimConfig
from robustcnn.core.threat import ThreatModel
from robustcnn.data.augment.policy import Augment
from robustcnn.train import training as training_module
from robustcnn.train.objectives.adversarial import Adversarial, Fast, Mixture
from robustcnn.train.objectives.certified import CrownIbp, Ibp, Sabr
from robustcnn.train.objectives.free import Free
from robustcnn.train.objectives.standard import Standard
from robustcnn.train.objectives.trades import Mart, Trades
from robustcnn.train.pace import LateReader
from robustcnn.train.training import Training

BALLS = {norm: ThreatModel(norm=norm, eps=eps) for norm, eps in {"linf": 0.1, "l2": 1.0, "l1": 5.0}.items()}
EVERYTHING = Augment(
    mirror=True,
    shift=2,
    rotate=5,
    rescale=0.1,
    brightness=0.1,
    contrast=0.1,
    saturation=0.1,
    hue=0.1,
    noise=0.1,
    cutout=3,
)
SGD, ADAM = OptimConfig(lr=0.01), OptimConfig(name="adamw", lr=0.01, trunk_lr=0.5)
CASES = {
    "standard": FitConfig(optim=SGD),
    "mixup": FitConfig(objective=Standard(mixup=0.5, label_smoothing=0.1), optim=ADAM),
    "augmented": FitConfig(augment=EVERYTHING, optim=SGD),
    "everything at once": FitConfig(l1=0.1, l2=0.1, clip=1.0, ema=0.99, awp=0.005, freeze="first:1", optim=ADAM),
    "in parts": FitConfig(accumulate=2, optim=SGD),
    **{f"adversarial {norm}": FitConfig(objective=Adversarial(threat=ball, steps=2)) for norm, ball in BALLS.items()},
    "mixture": FitConfig(objective=Mixture(threat=BALLS["linf"])),
    **{f"fast {norm}": FitConfig(objective=Fast(threat=ball)) for norm, ball in BALLS.items()},
    "fast, cured": FitConfig(objective=Fast(threat=BALLS["linf"], noise=2.0, grad_align=0.2)),
    "free": FitConfig(objective=Free(threat=BALLS["linf"])),
    **{f"trades {norm}": FitConfig(objective=Trades(threat=ball, steps=2)) for norm, ball in BALLS.items()},
    "mart": FitConfig(objective=Mart(threat=BALLS["linf"], steps=2)),
    "ibp": FitConfig(objective=Ibp(threat=BALLS["linf"])),
    "crown-ibp": FitConfig(objective=CrownIbp(threat=BALLS["linf"])),
    "sabr": FitConfig(objective=Sabr(threat=BALLS["linf"])),
}
"""The warm-up of eps is left out: it is a number of the host's."""


class Patient(LateReader):
    """Reads losses at the end of an epoch; on a GPU it does so every 50 steps."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self.patience = 1000


def lines(config: FitConfig, batch_size: int, waits: Waits) -> Counter[str]:
    """Where one epoch in batches of this size waits."""
    train, validation = parts()
    config = FitConfig(**{**{name: getattr(config, name) for name in config.__slots__}, "batch_size": batch_size})
    training = Training(fresh(train), train, validation, config, progress=False)
    with waits:
        training._pass(1, training_module.begin(training._objective(), training._stage()))
    training.release()
    return waits.lines.copy()


@pytest.mark.parametrize("name", CASES)
def test_a_step_of_training_never_waits(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_module, "LateReader", Patient)
    waits = Waits(monkeypatch)
    with far_away():
        few, many = lines(CASES[name], 60, waits), lines(CASES[name], 20, waits)
    # An epoch of nine steps waits as often as one of three: for its checks at the start and the loss at the end.
    assert many - few == Counter()


def test_what_waits_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    waits, values = Waits(monkeypatch), torch.arange(4)
    with waits:
        values.max().item()
        values[values > 1]
        bool((values > 1).any())
        values.tolist()
        values.nonzero()
        torch.equal(values, values)
    assert waits.total == 6
