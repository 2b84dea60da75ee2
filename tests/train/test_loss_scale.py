"""Training in float16: losses are scaled as torch's own scaler does, a step that overflows is left out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from fitting import QUICK, bars, fresh, parts, same, weights
from torch import nn

from robustcnn import OptimConfig, fit, score
from robustcnn.core.runtime import usable
from robustcnn.core.threat import ThreatModel
from robustcnn.train import Adversarial, TrainingDiverged
from robustcnn.train.optimisation import loss_scale
from robustcnn.train.optimisation.loss_scale import LossScale
from robustcnn.train.optimisation.optim import Optimizer
from robustcnn.train.training import Training


def test_factors_and_weights_are_those_of_torchs_own_scaler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loss_scale, "PATIENCE", 3)
    ours, theirs = nn.Linear(3, 1), nn.Linear(3, 1)
    theirs.load_state_dict(ours.state_dict())
    scale, scaler = LossScale(works=True), torch.amp.GradScaler("cpu", init_scale=2.0**16, growth_interval=3)
    optim = OptimConfig(name="sgd", lr=0.1, momentum=0.9, schedule="constant")
    optimizer, other = (
        Optimizer(ours, optim, total_steps=12),
        torch.optim.SGD(theirs.parameters(), lr=0.1, momentum=0.9),
    )
    factors = []
    for step in range(12):
        # Beyond float32 at some steps, once the loss is multiplied.
        images = torch.ones(2, 3) * (1e36 if step in (2, 3, 8) else 0.1)
        scale.up(ours(images).mean()).backward()
        scale.down(ours.parameters())
        optimizer.step(step, moves=not scale.overflowed)
        scaler.scale(theirs(images).mean()).backward()
        scaler.step(other)
        scaler.update()
        other.zero_grad()
        factors.append((scale.factor, scaler.get_scale()))
    assert all(ours_now == theirs_now for ours_now, theirs_now in factors)
    assert {2.0**14, 2.0**15, 2.0**16} <= {ours_now for ours_now, _ in factors}
    for mine, yours in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, yours)


@pytest.mark.parametrize("change", [{}, {"objective": Adversarial(threat=ThreatModel(norm="linf", eps=0.1), steps=2)}])
def test_training_in_half_ends_where_float32_does(change: dict[str, object]) -> None:
    train, validation = parts()
    models = {precision: fresh(train) for precision in ("fp32", "fp16")}
    losses = {
        precision: list(fit(model, train, validation, replace(QUICK, epochs=6, **change), precision=precision))[
            -1
        ].train_loss
        for precision, model in models.items()
    }
    assert losses["fp16"] == pytest.approx(losses["fp32"], abs=0.05)
    assert abs(score(models["fp16"], validation).accuracy - score(models["fp32"], validation).accuracy) < 0.05
    assert not same(weights(models["fp32"]), weights(models["fp16"])), "it was in another precision"


def test_a_step_that_overflows_moves_nothing_and_halves_the_factor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loss_scale, "START", 2.0**100)
    monkeypatch.setattr(loss_scale, "LEAST", 2.0**-14)
    data = bars()
    config = replace(QUICK, epochs=1, batch_size="full", optim=OptimConfig(name="adamw", lr=0.1, schedule="constant"))
    training = Training(fresh(data), data, data, config, precision="fp16", progress=False)
    before = {name: tensor.clone() for name, tensor in weights(training.model).items() if "running" not in name}
    training.epoch()
    assert training.descent.scale.factor == 2.0**99
    now = weights(training.model)
    assert all(torch.equal(tensor, now[name]) for name, tensor in before.items()), "decay included"


def test_gradients_that_no_factor_makes_finite_end_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loss_scale, "LEAST", 2.0**101)
    monkeypatch.setattr(loss_scale, "START", 2.0**101)
    train, validation = parts()
    with pytest.raises(TrainingDiverged, match="the gradient became inf at step 1"):
        list(fit(fresh(train), train, validation, QUICK, precision="fp16"))


def test_an_interrupted_training_in_half_goes_on_with_its_factor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loss_scale, "PATIENCE", 3)
    train, validation = parts()
    whole, begun, resumed = fresh(train), fresh(train), fresh(train)
    list(fit(whole, train, validation, QUICK, precision="fp16"))
    epochs = fit(begun, train, validation, QUICK, precision="fp16", folder=tmp_path)
    next(epochs)
    epochs.close()
    list(fit(resumed, train, validation, QUICK, precision="fp16", folder=tmp_path, resume=True))
    assert same(weights(whole), weights(resumed))


def test_weight_perturbation_takes_no_direction_from_gradients_that_overflowed() -> None:
    scale = LossScale(works=True)
    finite, other = [torch.ones(2)], [torch.tensor([1.0, torch.inf])]
    assert scale.direction(finite) is finite
    assert scale.direction(other)[0].tolist() == [0.0, 0.0]


def test_half_is_for_gpus_and_processors_that_have_it() -> None:
    assert usable("fp16", torch.device("cuda")) == "fp16"
