"""`--compile`: the model and the attack's view are compiled, once for all epochs, and the training is the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from robustcnn import FitConfig, OptimConfig, build, fit, load
from robustcnn.core.threat import ThreatModel
from robustcnn.fast.compiled import Compiled
from robustcnn.train import Adversarial

CONFIG = FitConfig(
    epochs=3,
    batch_size=64,
    objective=Adversarial(threat=ThreatModel(norm="linf", eps=0.1), steps=3),
    optim=OptimConfig(name="sgd", lr=0.002, schedule="constant"),
    watch=0,
)


@pytest.mark.slow
def test_the_attack_is_compiled_once_and_the_training_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    train, validation, _ = load("digits")
    train, validation = train.subset(192), validation.subset(64)
    made, plain = [], Compiled._function

    def counted(self: Compiled) -> Callable[..., Any]:
        made.append(self)
        return plain(self)

    monkeypatch.setattr(Compiled, "_function", counted)

    def losses(*, compiled: bool) -> list[float]:
        model: nn.Module = build("bncnn", train.spec, seed=0, width=0.125)
        config = replace(CONFIG, seed=0)
        return [each.train_loss for each in fit(model, train, validation, config, compiled=compiled)]

    eager = losses(compiled=False)
    assert not made
    # A compiler rounds otherwise, and where it turns the sign of a gradient a pixel goes the other way.
    torch.testing.assert_close(torch.tensor(losses(compiled=True)), torch.tensor(eager), rtol=5e-3, atol=0)
    # With a gradient, and perhaps without: not three times as often for three epochs.
    assert 1 <= len(made) <= 2
