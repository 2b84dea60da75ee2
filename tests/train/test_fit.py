from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from fitting import QUICK, bars, fresh, parts, same, weights

from robustcnn import Augment, FitConfig, OptimConfig, fit, load_checkpoint, score
from robustcnn.core.runtime import seeded
from robustcnn.core.threat import ThreatModel
from robustcnn.data.resident import as_pixels
from robustcnn.train import OBJECTIVES, Adversarial, Fast, Ibp, Standard, TrainingDiverged
from robustcnn.train.optimisation.averaging import Averaged


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"objective": Standard(label_smoothing=0.1)},
        {"objective": Standard(mixup=0.4)},
        {"augment": Augment(shift=1, noise=0.02)},
        {"l1": 0.01, "l2": 0.01, "clip": 1.0},
        {"ema": 0.9},
        {"batch_size": "full", "epochs": 40, "optim": OptimConfig(name="sgd", lr=0.1, momentum=0.9)},
        {"batch_size": 1, "epochs": 1, "optim": OptimConfig(name="sgd", lr=0.01, momentum=0.0)},
        {"optim": OptimConfig(name="adamw", lr=0.005, schedule="cosine", momentum=0.9)},
    ],
    ids=lambda change: ",".join(change) or "plain",
)
def test_training_learns_the_bars_under_every_option(change: dict[str, object]) -> None:
    train, validation = parts()
    model = fresh(train)
    history = list(fit(model, train, validation, replace(QUICK, **change)))
    assert history[-1].train_loss < history[0].train_loss or len(history) == 1
    assert score(model, validation).accuracy > 0.95


def test_two_classes_by_a_single_logit_learn_too() -> None:
    train, validation = parts()
    model = fresh(train, single_logit=True)
    list(fit(model, train, validation, QUICK))
    assert score(model, validation).accuracy > 0.95


def test_the_same_config_twice_gives_the_same_weights() -> None:
    train, validation = parts(classes=3)
    config = replace(QUICK, augment=Augment(mirror=True, shift=1), objective=Standard(mixup=0.2))
    models = [fresh(train, "smallcnn", dropout=0.5) for _ in range(2)]
    for model in models:
        list(fit(model, train, validation, config))
    assert same(weights(models[0]), weights(models[1]))
    other = fresh(train, "smallcnn", dropout=0.5)
    list(fit(other, train, validation, replace(config, seed=1)))
    assert not same(weights(models[0]), weights(other))


def test_the_callers_random_numbers_are_left_alone() -> None:
    train, validation = parts()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    list(fit(fresh(train), train, validation, replace(QUICK, epochs=1)))
    assert torch.equal(torch.rand(3), expected)


def test_afterwards_the_model_carries_the_best_epochs_weights() -> None:
    train, validation = parts()
    model = fresh(train)
    # A rate that grows until it does damage: the last epoch is not the best one.
    config = replace(QUICK, epochs=6, optim=OptimConfig(name="sgd", lr=0.02, lr_end=3.0, schedule="linear"))
    history = list(fit(model, train, validation, config))
    best = min(history, key=lambda metrics: metrics.valid_loss)
    assert best.epoch < 6
    assert [metrics for metrics in history if metrics.best][-1] == best
    assert score(model, validation).loss == pytest.approx(best.valid_loss, abs=1e-12)


def test_as_long_as_nothing_is_proven_the_latest_epoch_is_the_best() -> None:
    train, validation = parts()
    objective = Ibp(threat=ThreatModel(eps=0.5), warmup=0.9, clean=0.5)
    history = list(fit(fresh(train), train, validation, replace(QUICK, epochs=3, objective=objective)))
    assert [epoch.certified_accuracy for epoch in history] == [0, 0, 0]
    assert history[-1].best


def test_early_stopping_waits_for_its_patience_and_no_longer() -> None:
    train, validation = parts()
    config = replace(QUICK, epochs=50, patience=2, optim=OptimConfig(name="sgd", lr=1e-12, momentum=0.0))
    # Weights that stand still never improve on the first epoch.
    history = list(fit(fresh(train, "logistic"), train, validation, replace(config, monitor="valid_accuracy")))
    assert [metrics.epoch for metrics in history] == [1, 2, 3]
    assert [metrics.best for metrics in history] == [True, False, False]


def test_class_weights_set_the_odds_where_the_pictures_say_nothing() -> None:
    data = bars()
    blank = replace(data, images=torch.full_like(data.images, 128))
    model = fresh(data, "logistic")
    descent = OptimConfig(name="sgd", lr=0.01, momentum=0.0, schedule="constant")
    config = replace(QUICK, epochs=300, batch_size="full", optim=descent, monitor="train_loss")
    list(fit(model, blank, blank, config, class_weights=torch.tensor([0.5, 1.5])))
    # The minimum of the weighted loss: log odds of the weights times the (equal) counts.
    odds = model(blank.images[:1] / 255).diff(dim=1).item()
    assert odds == pytest.approx(math.log(3), abs=0.01)


@pytest.mark.parametrize(
    "change",
    [
        {"objective": Standard(label_smoothing=0.1)},
        {"objective": Standard(mixup=0.4)},
        *({"objective": kind()} for kind in OBJECTIVES.values() if kind is not Standard),
        {"objective": Fast(noise=2.0, grad_align=0.2)},
        {"objective": Adversarial(threat=ThreatModel(norm="l2", eps=0.5), steps=2), "awp": 0.01},
        {"accumulate": 3, "ema": 0.9},
    ],
    ids=str,
)
def test_an_example_of_weight_0_teaches_nothing(change: dict[str, object]) -> None:
    data = bars(96)
    counts = torch.arange(96) % 3 != 0
    told = []
    for labels in (data.labels, torch.where(counts, data.labels, 1 - data.labels)):
        weighted = replace(data, labels=labels, weights=1.5 * counts)
        model = fresh(data, "mlp", width=0.1)
        config = replace(QUICK, watch=0, epochs=2, **change)
        losses = [(each.train_loss, each.valid_loss) for each in fit(model, weighted, weighted, config)]
        told.append((losses, *weights(model).values()))
    torch.testing.assert_close(*told, atol=1e-5, rtol=1e-4)


def test_class_weights_count_partners_in_a_mixup_too() -> None:
    data = bars(96)
    one, other = (fresh(data, "mlp", width=0.1) for _ in range(2))
    config = replace(QUICK, objective=Standard(mixup=0.4))
    by_class = torch.tensor([0.5, 1.5])
    list(fit(one, data, data, config, class_weights=by_class))
    list(fit(other, replace(data, weights=by_class[data.labels]), data, config))
    plain = fresh(data, "mlp", width=0.1)
    list(fit(plain, data, data, config))
    assert same(weights(one), weights(other))
    assert not same(weights(one), weights(plain))


def test_weights_go_with_their_examples() -> None:
    data = replace(bars(12), weights=torch.arange(12.0))
    assert torch.equal(data.subset(torch.tensor([3, 1])).weights, torch.tensor([3.0, 1.0]))
    for part in data.split(0.5, generator=seeded(0)):
        assert torch.equal(part.images, data.images[part.weights.long()])
    for images, _, given in data.weighted_batches(5, generator=seeded(0)):
        assert torch.equal(images, as_pixels(data.images[given.long()]))
    assert data.fingerprint != bars(12).fingerprint
    with pytest.raises(ValueError, match="weights must be finite and at least 0, got -1 at index 0"):
        replace(data, weights=torch.arange(12.0) - 1)


def test_the_best_epoch_is_judged_by_the_weighted_loss_too() -> None:
    data = bars()
    blank = replace(data, images=torch.full_like(data.images, 128))
    class_weights = torch.tensor([0.2, 1.8])
    model = fresh(data, "logistic")
    config = replace(
        QUICK, epochs=8, batch_size="full", optim=OptimConfig(name="sgd", lr=0.001, momentum=0.0, schedule="constant")
    )
    history = list(fit(model, blank, blank, config, class_weights=class_weights))
    # From even odds on, the plain loss only rises while the weighted one falls.
    assert all(metrics.best for metrics in history)
    assert history[-1].valid_loss < 0.5 < math.log(2) < score(model, blank).loss


def test_an_unknown_precision_is_refused() -> None:
    train, validation = parts()
    with pytest.raises(ValueError, match="precision must be one of fp32, bf16, fp16, got 'fp8'"):
        next(fit(fresh(train), train, validation, precision="fp8"))  # type: ignore[arg-type]


def test_averaged_weights_follow_the_published_recursion() -> None:
    train, _ = parts()
    model = fresh(train, "logistic")
    averaged = Averaged(model, decay=0.5)
    expected = model.net[-1].weight.detach().clone()
    for step in range(20):
        with torch.no_grad():
            model.net[-1].weight += 1.0
        share = 1 - min(0.5, (1 + step) / (10 + step))
        expected = expected + share * (model.net[-1].weight.detach() - expected)
        averaged.update(step)
    own = model.net[-1].weight.detach().clone()
    with averaged.in_place():
        torch.testing.assert_close(model.net[-1].weight.detach(), expected)
    assert torch.equal(model.net[-1].weight, own)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_loss_that_is_not_finite_stops_at_once_with_the_cure(precision: str) -> None:
    train, validation = parts()
    config = replace(QUICK, optim=OptimConfig(name="sgd", lr=1e30, momentum=0.0, schedule="constant"))
    with pytest.raises(TrainingDiverged, match=r"at step \d+ \(epoch 1, learning rate 1e\+30\): the usual cure"):
        list(fit(fresh(train), train, validation, config, precision=precision))


def test_the_last_good_checkpoint_survives_a_divergence(tmp_path: Path) -> None:
    train, validation = parts()
    # Calm for an epoch, then far too fast.
    wild = OptimConfig(name="sgd", lr=0.01, schedule="steps", milestones=(0.5,), gamma=1e30)
    training = fit(fresh(train), train, validation, replace(QUICK, epochs=2, optim=wild), folder=tmp_path)
    next(training)
    before = weights(load_checkpoint(tmp_path))
    with pytest.raises(TrainingDiverged):
        next(training)
    assert same(before, weights(load_checkpoint(tmp_path)))


def test_bf16_learns_as_well() -> None:
    train, validation = parts()
    model = fresh(train)
    list(fit(model, train, validation, QUICK, precision="bf16"))
    assert score(model, validation).accuracy > 0.95


def test_a_last_batch_of_one_does_not_trip_batch_norm() -> None:
    data = bars(33)
    model = fresh(data, "bncnn", width=0.1)
    assert len(list(fit(model, data, data, replace(QUICK, epochs=1, batch_size=32)))) == 1


def test_a_model_for_other_pictures_is_refused() -> None:
    train, validation = parts()
    with pytest.raises(ValueError, match=r"3 classes, .* of 2 \(build the model with train.spec\)"):
        next(fit(fresh(bars(classes=3)), train, validation))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"batch_size": 0}, "batch_size must be at least 1 or 'full', got 0"),
        ({"l1": -1.0}, "l1 and l2 must not be negative"),
        ({"clip": 0.0}, "clip must be positive, got 0"),
        ({"ema": 1.0}, "ema must lie strictly between 0 and 1"),
        ({"patience": 0}, "patience must be at least 1 epoch"),
        ({"monitor": "images_per_second"}, "unknown monitor 'images_per_second'"),
        ({"monitor": "valid_los"}, "unknown monitor 'valid_los' .did you mean 'valid_loss'"),
    ],
)
def test_a_bad_option_is_named(options: dict[str, object], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        FitConfig(**options)  # type: ignore[arg-type]
