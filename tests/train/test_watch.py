"""Robustness is measured after every epoch, and its collapse is noticed."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from fitting import QUICK, bars, fresh, parts, same, weights
from torch import Tensor

from robustcnn import OptimConfig, fit
from robustcnn.core.results import EpochMetrics
from robustcnn.core.runtime import seeded
from robustcnn.core.threat import ThreatModel
from robustcnn.train import Adversarial, CatastrophicOverfitting, Fast, Free, Mixture
from robustcnn.train.training import Training
from robustcnn.train.watch import Watch, Watched, has_collapsed

THREAT = ThreatModel(norm="linf", eps=0.02)
OK, GONE = Watched(0.6, 0.7), Watched(0.05, 0.8)


def epoch(robust: float | None, fgsm: float | None) -> EpochMetrics:
    usual: dict[str, Any] = dict.fromkeys(
        ("train_loss", "valid_loss", "valid_accuracy", "learning_rate", "images_per_second", "seconds"), 0.5
    )
    return EpochMetrics(epoch=1, **usual, robust_accuracy=robust, fgsm_accuracy=fgsm)


@pytest.mark.parametrize(("precision", "suite"), [("fp32", "pgd"), ("bf16", "pgd"), ("fp32", "swift")])
def test_the_watch_measures_the_known_worst_case_of_a_linear_model(precision: Any, suite: Any) -> None:
    data = bars(200)
    images = 0.3 + 0.4 * torch.rand(200, 1, 12, 12, generator=seeded(1))
    data, model = replace(data, images=images), fresh(data, "logistic")
    logits = model(images).gather(1, torch.stack([data.labels, 1 - data.labels], 1))
    slope = (model.net[-1].weight.diff(dim=0).view(1, 12, 12) / model.std).abs().sum()
    threat = replace(THREAT, eps=0.3 * (logits.diff(dim=1).abs().median() / slope).item())
    expected = (logits[:, 0] - logits[:, 1] > threat.eps * slope).double().mean().item()
    assert 0.1 < expected < 0.9
    measured = Watch(data, threat, precision=precision, suite=suite)(model)
    assert measured[:2] == pytest.approx((expected, expected), abs=1e-9)


def test_at_most_so_many_images_are_watched() -> None:
    train, validation = parts()
    config = replace(QUICK, epochs=1, objective=Adversarial(threat=THREAT, steps=1), watch=10)
    (metrics,) = fit(fresh(train), train, validation, config)
    assert metrics.robust_accuracy is not None
    assert (10 * metrics.robust_accuracy) == pytest.approx(round(10 * metrics.robust_accuracy))
    assert f"robust {100 * metrics.robust_accuracy:6.2f}%" in str(metrics)
    (plain,) = fit(fresh(train), train, validation, replace(QUICK, epochs=1))
    assert plain.robust_accuracy is None
    assert "robust" not in str(plain)


@pytest.mark.parametrize(
    ("history", "alarm"),
    [
        ([(0.6, 0.7), (0.29, 0.6)], True),
        ([(0.6, 0.7), (0.31, 0.9)], False),
        ([(0.6, 0.7), (0.29, 0.57)], False),
        ([(0.6, 0.7), (0.01, 0.9), (0.4, 0.6)], False),
        ([(0.15, 0.3), (0.01, 0.3)], False),
        ([(0.0, 0.9)], False),
        ([(0.0, 0.9), (0.04, 0.56), (0.0, 0.9)], True),
        ([(0.0, 0.9), (0.06, 0.56), (0.0, 0.9)], False),
        ([(0.0, 0.9), (0.04, 0.54), (0.0, 0.9)], False),
        ([(0.6, 0.7), (None, None)], False),
        ([], False),
    ],
)
def test_the_alarm_sounds_by_its_rule(history: list[tuple[float, float]], alarm: bool) -> None:
    assert has_collapsed([epoch(*each) for each in history], classes=10) == alarm


def scripted(monkeypatch: pytest.MonkeyPatch, script: list[Watched]) -> None:
    """The watch reports these figures, epoch by epoch."""

    def said(watch: Watch, model: object) -> Watched:
        return script[len(training_of[id(watch)].history)]

    training_of: dict[int, Training] = {}
    made = Training.__init__

    def noted(training: Training, *arguments: Any, **options: Any) -> None:
        made(training, *arguments, **options)
        training_of[id(training.watch)] = training

    monkeypatch.setattr(Training, "__init__", noted)
    monkeypatch.setattr(Watch, "__call__", said)


CONFIG = replace(QUICK, epochs=5, objective=Fast(threat=THREAT), optim=OptimConfig(lr=0.05, schedule="cosine"))
SCRIPT = [Watched(0.5, 0.6), OK, GONE, GONE, Watched(0.55, 0.65)]


def test_warn_warns_once_names_the_epoch_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    scripted(monkeypatch, SCRIPT)
    train, validation = parts(classes=3)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        history = list(fit(fresh(train), train, validation, CONFIG))
    (only,) = [each for each in told if issubclass(each.category, CatastrophicOverfitting)]
    assert str(only.message).startswith("epoch 3: robust accuracy fell to 5.0 %, from 60.0 % in epoch 2, while 80.0")
    assert [metrics.best for metrics in history] == [True, True, False, False, False]


def test_who_never_learnt_to_stand_pgd_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    scripted(monkeypatch, [Watched(0.0, 0.4), *[Watched(0.01, 0.9)] * 4])
    train, validation = parts(classes=3)
    with pytest.warns(CatastrophicOverfitting, match=r"epoch 4: robust accuracy is 1.0 %, worse than guessing, whi"):
        list(fit(fresh(train), train, validation, CONFIG))


@pytest.mark.parametrize(
    ("objective", "cure"),
    [
        (Fast(threat=THREAT), "noise: --objective.noise 2"),
        (Mixture(threat=THREAT), "noise: --objective.noise 2"),
        (Free(threat=THREAT), "several steps: --objective adversarial"),
    ],
)
def test_the_alarm_names_a_cure_that_the_objective_has(
    monkeypatch: pytest.MonkeyPatch, objective: Fast | Mixture | Free, cure: str
) -> None:
    scripted(monkeypatch, SCRIPT)
    train, validation = parts(classes=3)
    with pytest.warns(CatastrophicOverfitting, match=cure):
        list(fit(fresh(train), train, validation, replace(CONFIG, objective=objective)))


def test_stop_keeps_the_best_epochs_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    scripted(monkeypatch, SCRIPT)
    train, validation = parts(classes=3)
    model, kept = fresh(train), {}
    config = replace(CONFIG, on_overfitting="stop")
    with pytest.warns(CatastrophicOverfitting, match="training stops"):
        kept |= {metrics.epoch: weights(model) for metrics in fit(model, train, validation, config)}
    assert list(kept) == [1, 2, 3]
    assert same(weights(model), kept[2])
    assert not same(kept[3], kept[2])


@pytest.mark.filterwarnings("ignore::robustcnn.train.CatastrophicOverfitting")
@pytest.mark.parametrize("ema", [None, 0.9])
def test_rollback_goes_on_from_the_best_epoch_with_noise_also_when_resumed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ema: float | None
) -> None:
    scripted(monkeypatch, SCRIPT)
    train, validation = parts(classes=3)
    starts: list[tuple[float, dict[str, Tensor]]] = []
    begun = Training._pass
    monkeypatch.setattr(
        Training,
        "_pass",
        lambda self, number, scorer: [
            starts.append((scorer.objective.noise, weights(self.model))),
            begun(self, number, scorer),
        ][1],
    )
    config = replace(CONFIG, on_overfitting="rollback", ema=ema)
    whole = fresh(train)
    training = fit(whole, train, validation, config, folder=tmp_path / "whole")
    next(training), next(training)
    list(training)
    assert [noise for noise, _ in starts] == [0, 0, 0, 2, 2]
    # Epochs 4 and 5 both follow a collapse, and start where epoch 2 had ended.
    assert same(starts[3][1], starts[4][1])
    if ema is None:
        assert same(starts[2][1], starts[3][1])
    resumed = fresh(train)
    broken = fit(fresh(train), train, validation, config, folder=tmp_path / "broken")
    for _ in range(3):
        next(broken)
    list(fit(resumed, train, validation, config, folder=tmp_path / "broken", resume=True))
    assert same(weights(whole), weights(resumed))
