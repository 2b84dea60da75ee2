"""Fitting without pictures and classes."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from robustcnn.core.runtime import global_seed
from robustcnn.train import OptimConfig, TrainingDiverged
from robustcnn.train.tensors import Pairs, TensorEpoch, TensorFit, fit_tensors

INPUTS = torch.randn(200, 3, generator=torch.Generator().manual_seed(0))
TARGETS = INPUTS @ torch.tensor([[1.0], [-2.0], [0.5]]) + 0.3
DATA = Pairs(INPUTS[:150], TARGETS[:150]), Pairs(INPUTS[150:], TARGETS[150:])
ADAM = OptimConfig(name="adam", lr=0.1, schedule="cosine")


def fitted(config: TensorFit) -> tuple[nn.Linear, list[TensorEpoch]]:
    with global_seed(0):
        net = nn.Linear(3, 1)
    return net, list(fit_tensors(net, *DATA, F.mse_loss, config))


def test_a_linear_regression_finds_the_line() -> None:
    net, history = fitted(TensorFit(epochs=80, batch_size=32, optim=ADAM))
    torch.testing.assert_close(net.weight.detach(), torch.tensor([[1.0, -2.0, 0.5]]), atol=1e-3, rtol=0)
    assert history[-1].valid_loss < 1e-5


def test_the_same_config_gives_the_same_weights() -> None:
    first, again = (fitted(TensorFit(epochs=2, optim=ADAM))[0].weight for _ in range(2))
    assert torch.equal(first, again)


def test_the_best_epochs_weights_are_carried_afterwards() -> None:
    wild = OptimConfig(name="sgd", lr=0.9, momentum=0.9, schedule="constant")
    net, history = fitted(TensorFit(epochs=6, batch_size=16, optim=wild))
    with torch.no_grad():
        reached = F.mse_loss(net(DATA[1].inputs), DATA[1].targets).item()
    assert reached == pytest.approx(min(each.valid_loss for each in history), rel=1e-5)
    assert [each.epoch for each in history if each.best][-1] == min(history, key=lambda each: each.valid_loss).epoch


def test_patience_ends_a_training_that_no_longer_improves() -> None:
    still = OptimConfig(name="sgd", lr=1e-12, momentum=0.0, schedule="constant")
    _, history = fitted(TensorFit(epochs=50, optim=still, patience=2))
    assert len(history) <= 5


def test_a_divergence_is_named_with_its_step_and_cure() -> None:
    far = OptimConfig(name="sgd", lr=1e6, momentum=0.9, schedule="constant")
    with pytest.raises(TrainingDiverged, match=r"at step \d+ \(epoch \d+\): the usual cure is a lower"):
        fitted(TensorFit(epochs=20, optim=far))


def test_no_examples_and_no_epochs_are_refused() -> None:
    with pytest.raises(ValueError, match="got 0 to train, 50 to validate"):
        list(fit_tensors(nn.Linear(3, 1), Pairs(INPUTS[:0], TARGETS[:0]), DATA[1], F.mse_loss))
    with pytest.raises(ValueError, match="epochs must be at least 1, got 0"):
        TensorFit(epochs=0)
