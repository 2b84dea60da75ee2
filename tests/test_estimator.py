from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from robustcnn import load_checkpoint
from robustcnn.attacks import PGD, Swift
from robustcnn.core.results import HEADER
from robustcnn.core.threat import ThreatModel
from robustcnn.data.augment.policy import Augment
from robustcnn.data.resident import ResidentDataset, spec_of
from robustcnn.estimator import RobustCNNClassifier
from robustcnn.evaluate import evaluate
from robustcnn.models import ModelConfig, PixelModel
from robustcnn.train import FitConfig, OptimConfig, Standard, Trades, fit
from robustcnn.train.freezing import head_of

Array = np.ndarray[Any, Any]
NAMES = np.array(["upper", "left", "middle"])


def bars(count: int = 60, classes: int = 3) -> tuple[Array, Array]:
    """Noisy uint8 pictures (n, 1, 12, 12) with a bright bar, and the name of its place."""
    labels = np.arange(count) % classes
    images = np.random.default_rng(0).integers(0, 100, (count, 1, 12, 12), dtype=np.uint8)
    for place in range(classes):
        images[labels == place, :, 4 * place : 4 * place + 4] += 120
    return images, NAMES[labels]


def classifier(**options: Any) -> RobustCNNClassifier:
    return RobustCNNClassifier(**({"width": 0.1, "epochs": 5, "batch_size": 16, "random_state": 0} | options))


def expected_failures(_: object) -> dict[str, str]:
    drawn = "batches are drawn and pictures scaled by what is there, so that repeated examples train another network"
    return {"check_sample_weight_equivalence_on_dense_data": drawn}


@parametrize_with_checks([RobustCNNClassifier(epochs=10)], expected_failed_checks=expected_failures)
def test_scikit_learns_own_checks_pass(estimator: object, check: Callable[[object], None]) -> None:
    check(estimator)


@pytest.mark.parametrize(
    "layout",
    [
        lambda images: images,
        lambda images: images[:, 0],
        lambda images: images.transpose(0, 2, 3, 1),
        lambda images: (images / 255).astype(np.float32),
        lambda images: images.repeat(3, 1) / 255,
        lambda images: images.reshape(len(images), -1),
        lambda images: images.reshape(len(images), -1).astype(float),
    ],
    ids=["NCHW", "NHW", "NHWC", "float32", "colour", "rows", "float rows"],
)
def test_images_in_every_layout_are_learnt(layout: Callable[[Array], Array]) -> None:
    images, labels = bars(120)
    images = layout(images)
    assert classifier().fit(images[:90], labels[:90]).score(images[90:], labels[90:]) > 0.95


def test_one_fitted_model_answers_bytes_floats_and_rows_alike() -> None:
    images, labels = bars()
    fitted = classifier().fit(images, labels)
    expected = fitted.predict_proba(images)
    for same in (images / 255, images[:, 0], images.transpose(0, 2, 3, 1), images.reshape(60, -1)):
        np.testing.assert_allclose(fitted.predict_proba(same), expected, atol=1e-5)


def test_the_fitted_model_is_the_pixel_model_behind_the_answers() -> None:
    images, labels = bars()
    fitted = classifier().fit(images, labels)
    assert isinstance(fitted.model_, PixelModel)
    assert not fitted.model_.training
    logits = fitted.model_(torch.tensor(images) / 255).detach()
    np.testing.assert_allclose(fitted.predict_proba(images), logits.softmax(1), atol=1e-6)
    np.testing.assert_allclose(fitted.decision_function(images), logits, rtol=1e-5, atol=1e-5)
    assert fitted.n_features_in_ == 144


@pytest.mark.parametrize("single_logit", [False, True])
def test_two_classes_are_decided_by_the_sign_of_one_number(single_logit: bool) -> None:
    images, labels = bars(classes=2)
    fitted = classifier(single_logit=single_logit).fit(images, labels)
    assert fitted.classes_.tolist() == ["left", "upper"]
    assert fitted.score(images, labels) > 0.95
    lead = fitted.decision_function(images)
    assert lead.shape == (60,)
    np.testing.assert_array_equal(fitted.predict(images) == "upper", lead > 0)
    np.testing.assert_allclose(fitted.predict_proba(images)[:, 1], 1 / (1 + np.exp(-lead)), atol=1e-6)


@pytest.mark.parametrize(("given", "answered"), [("uint8", "float32"), ("float32", "float32"), ("float64", "float64")])
def test_answers_have_the_precision_of_the_pixels(given: str, answered: str) -> None:
    images, labels = bars()
    pixels = images if given == "uint8" else (images / 255).astype(given)
    assert classifier(epochs=1).fit(pixels, labels).predict_proba(pixels).dtype == answered


def test_the_embedded_digits_are_learnt_from_rows_of_0_to_16() -> None:
    rows, digits = load_digits(return_X_y=True)
    fitted = classifier(width=0.25, epochs=6).fit(rows[:1200], digits[:1200])
    assert fitted.score(rows[1200:], digits[1200:]) > 0.9
    assert fitted.pixel_format_.shape == (1, 8, 8)
    assert fitted.pixel_format_.scale == (0, 16)


@pytest.mark.parametrize(
    ("model", "features", "chosen"),
    [("auto", 144, "smallcnn"), ("auto", 10, "mlp"), ("logistic", 144, "logistic"), (ModelConfig(), 144, "bncnn")],
)
def test_the_network_is_the_one_asked_for_or_fits_the_picture(
    model: str | ModelConfig, features: int, chosen: str
) -> None:
    rows = np.random.default_rng(0).random((12, features))
    fitted = RobustCNNClassifier(model=model, epochs=1).fit(rows, np.arange(12) % 2)
    assert fitted.model_.config.name == chosen


def test_options_reach_the_network() -> None:
    images, labels = bars()
    fitted = classifier(model="smallcnn", dropout=0.25, width=0.2, epochs=1).fit(images, labels)
    assert fitted.model_.config == ModelConfig(name="smallcnn", dropout=0.25, width=0.2)


def test_options_reach_the_training() -> None:
    options = {"epochs": 3, "batch_size": 7, "l1": 0.1, "l2": 0.2, "patience": 2, "augment": Augment(shift=1)}
    config = RobustCNNClassifier(
        **options, optimizer="adam", lr=0.01, schedule="cosine", label_smoothing=0.1
    )._fit_config()
    expected = FitConfig(
        **options,
        optim=OptimConfig(name="adam", lr=0.01, schedule="cosine"),
        objective=Standard(label_smoothing=0.1),
        seed=config.seed,
    )
    assert config == expected


def test_a_robust_objective_is_named_or_given() -> None:
    threat = ThreatModel(norm="linf", eps=0.1)
    named = RobustCNNClassifier(objective="trades", eps=0.1, label_smoothing=0.2)._fit_config().objective
    assert named == Trades(threat=threat, label_smoothing=0.2)
    given = RobustCNNClassifier(objective=Trades(beta=3.0))._fit_config().objective
    assert given == Trades(beta=3.0)


def test_a_robust_objective_resists_what_a_plain_one_does_not() -> None:
    images, labels = bars(240)
    stands = []
    for objective in ("standard", "fast"):
        fitted = classifier(objective=objective, eps=0.2, epochs=8).fit(images[:180], labels[:180])
        pixels, truth = torch.tensor(images[180:]) / 255, np.searchsorted(fitted.classes_, labels[180:])
        found = PGD(steps=10)(fitted.model_, pixels, torch.tensor(truth), ThreatModel(norm="linf", eps=0.2))
        stands.append(fitted.score(found.numpy(), labels[180:]))
    assert stands[1] > stands[0] + 0.3


def test_the_robust_score_is_the_judges() -> None:
    images, names = bars()
    fitted = classifier(eps=0.15).fit(images, names)
    data = load_bars(images, names, fitted)
    (judged,) = evaluate(fitted.model_, data, [Swift()], [ThreatModel(eps=0.15)]).threats
    assert fitted.robust_score(images, names) == judged.robust.value < fitted.score(images, names)
    smaller = ThreatModel(norm="l2", eps=0.1)
    assert fitted.robust_score(images, names, attack=PGD(steps=5), threat=smaller) > judged.robust.value
    with pytest.raises(ValueError, match="y must hold classes that were learnt, got 'lower'"):
        fitted.robust_score(images[:1], np.array(["lower"]))


def load_bars(images: Array, names: Array, fitted: RobustCNNClassifier) -> ResidentDataset:
    pictures, labels = torch.tensor(images), torch.tensor(np.searchsorted(fitted.classes_, names))
    return ResidentDataset(images=pictures, labels=labels, spec=spec_of(pictures, tuple(fitted.classes_.tolist())))


def test_grid_search_in_a_pipeline_finds_the_rate_that_learns() -> None:
    images, labels = bars()
    pipeline = Pipeline([("invert", FunctionTransformer(lambda images: 255 - images)), ("net", classifier())])
    search = GridSearchCV(pipeline, {"net__lr": [1e-6, 0.05]}, cv=2).fit(images, labels)
    assert search.best_params_ == {"net__lr": 0.05}
    assert search.score(images, labels) > 0.95


def test_cross_validation_works_on_images_and_on_scaled_rows() -> None:
    images, labels = bars()
    assert cross_val_score(classifier(), images, labels, cv=2).min() > 0.9
    scaled = Pipeline([("scale", StandardScaler()), ("net", classifier(image_shape=(12, 12)))])
    assert cross_val_score(scaled, images.reshape(60, -1), labels, cv=2).min() > 0.9


def test_a_fitted_classifier_survives_pickling() -> None:
    images, labels = bars()
    fitted = classifier().fit(images, labels)
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict_proba(images), fitted.predict_proba(images))
    assert again.history_ == fitted.history_


def test_a_clone_has_the_parameters_and_nothing_learnt() -> None:
    options = {"augment": Augment(mirror=True), "model": ModelConfig(name="mlp"), "class_weight": {"left": 2.0}}
    copied = clone(classifier(**options).set_params(l2=0.5))
    assert copied.get_params() == classifier(**options, l2=0.5).get_params()
    assert not hasattr(copied, "model_")


def test_random_state_decides_the_answer_and_leaves_other_numbers_alone() -> None:
    images, labels = bars()
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    first, again, other = (
        classifier(random_state=state, dropout=0.5, augment=Augment(noise=0.1))
        .fit(images, labels)
        .predict_proba(images)
        for state in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)
    assert torch.equal(torch.rand(2), expected)


def best_epoch(fitted: RobustCNNClassifier) -> Any:
    return [metrics for metrics in fitted.history_ if metrics.best][-1]


def test_epochs_of_a_small_set_are_judged_by_all_of_it() -> None:
    images, labels = bars()
    fitted = classifier().fit(images, labels)
    assert log_loss(labels, fitted.predict_proba(images)) == pytest.approx(best_epoch(fitted).valid_loss, rel=1e-4)


def test_epochs_are_judged_by_a_held_out_share() -> None:
    images, labels = bars(50, classes=2)
    # All labels are drawn: those of the pictures held out cannot be learnt.
    labels = np.random.default_rng(0).permutation(labels)
    fitted = classifier(validation=0.5, epochs=60, schedule="constant").fit(images, labels)
    correct = best_epoch(fitted).valid_accuracy * 25
    assert correct == pytest.approx(round(correct))
    assert min(metrics.train_loss for metrics in fitted.history_) < 0.1
    assert max(metrics.valid_loss for metrics in fitted.history_) > 1


def test_training_stops_when_patience_runs_out() -> None:
    images, labels = bars(200)
    # Drawn labels: learning the training ones by heart makes the held-out loss worse and worse.
    labels = np.random.default_rng(0).permutation(labels)
    history = classifier(epochs=30, patience=2, schedule="constant").fit(images, labels).history_
    assert [metrics.best for metrics in history[-3:]] == [True, False, False]
    assert len(history) < 30


@pytest.mark.parametrize(
    ("class_weight", "odds"), [(None, 1 / 3), ("balanced", 1.0), ({"left": 1.0, "upper": 6.0}, 2.0)]
)
def test_class_weights_set_the_odds_where_the_pictures_say_nothing(class_weight: object, odds: float) -> None:
    labels = np.array(["upper"] + ["left"] * 3).repeat(5)
    blank = np.full((20, 8, 8), 100, dtype=np.uint8)
    options = {"model": "logistic", "width": None, "epochs": 300, "batch_size": "full", "schedule": "constant"}
    fitted = classifier(**options, class_weight=class_weight).fit(blank, labels)
    left, upper = fitted.predict_proba(blank)[0]
    assert upper / left == pytest.approx(odds, rel=0.02)


BLANK = np.full((20, 8, 8), 100, dtype=np.uint8)
FULL = {"model": "logistic", "width": None, "epochs": 60, "batch_size": "full", "schedule": "constant"}


def answers(fitted: RobustCNNClassifier, images: Array) -> Array:
    return np.asarray(fitted.predict_proba(images))


def test_sample_weights_set_the_odds_where_the_pictures_say_nothing() -> None:
    labels = np.array(["upper", "left"]).repeat(10)
    given = np.where(labels == "upper", 3.0, 0.5)
    fitted = classifier(**FULL | {"epochs": 300}).fit(BLANK, labels, sample_weight=given)
    left, upper = answers(fitted, BLANK)[0]
    assert upper / left == pytest.approx(6, rel=0.02)


@pytest.mark.parametrize("class_weight", [None, "balanced", {"left": 2.0}])
def test_a_weight_of_two_is_the_example_twice(class_weight: object) -> None:
    draws = np.random.default_rng(0)
    # Of the same levels each, so that pictures are scaled alike whichever are there.
    images = draws.permuted(np.arange(64, dtype=np.uint8)[None].repeat(30, 0), axis=1).reshape(30, 8, 8)
    labels, times = NAMES[np.arange(30) % 3], draws.integers(0, 4, 30)
    options = FULL | {"class_weight": class_weight}
    weighted = classifier(**options).fit(images, labels, times)
    repeated = classifier(**options).fit(images.repeat(times, 0), labels.repeat(times))
    np.testing.assert_allclose(answers(weighted, images), answers(repeated, images), atol=1e-5)
    plain = classifier(**options).fit(images, labels)
    assert np.abs(answers(plain, images) - answers(weighted, images)).max() > 0.05
    losses = [each.history_[-1].valid_loss for each in (weighted, repeated)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


@pytest.mark.parametrize("given", [5, np.full(60, 0.25)])
def test_equal_sample_weights_are_none(given: object) -> None:
    images, labels = bars()
    weighted = classifier(class_weight="balanced").fit(images, labels, sample_weight=given)
    np.testing.assert_array_equal(answers(weighted, images), answers(classifier().fit(images, labels), images))


def test_the_score_counts_an_example_by_its_weight() -> None:
    images, labels = bars()
    fitted, given = classifier(epochs=1).fit(images, labels), np.arange(60.0)
    right = fitted.predict(images) == labels
    assert fitted.score(images, labels, sample_weight=given) == pytest.approx(given[right].sum() / given.sum())


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (np.ones(59), r"sample_weight must hold one number an example, \(60,\), got \(59,\)"),
        (np.ones((60, 2)), r"sample_weight must hold one number an example, \(60,\), got \(60, 2\)"),
        (np.r_[np.ones(58), -0.5, 1], "sample_weight must be finite and at least 0, got -0.5 at index 58"),
        ([np.nan] + 59 * [1], "sample_weight must be finite and at least 0, got NaN at index 0"),
        ([1, np.inf] + 58 * [1], "sample_weight must be finite and at least 0, got infinity at index 1"),
        (np.zeros(60), "sample_weight must not be zero for all examples"),
        (60 * ["heavy"], "sample_weight must hold numbers, got <U5"),
    ],
)
def test_sample_weights_that_are_none_are_refused(given: object, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        classifier().fit(*bars(), sample_weight=given)


def test_weights_reach_the_network_through_a_pipeline_and_a_grid() -> None:
    images, labels = bars()
    given = np.where(labels == "left", 1.0, 0.25)
    search = GridSearchCV(Pipeline([("net", classifier(epochs=1))]), {"net__lr": [0.05]}, cv=2, error_score="raise")
    fitted = search.fit(images, labels, net__sample_weight=given).best_estimator_["net"]
    expected = classifier(epochs=1).fit(images, labels, given)
    np.testing.assert_array_equal(answers(fitted, images), answers(expected, images))


def test_the_epoch_table_is_printed_only_when_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    images, labels = bars()
    classifier(epochs=2).fit(images, labels)
    assert capsys.readouterr().out == ""
    fitted = classifier(epochs=2, verbose=1).fit(images, labels)
    assert capsys.readouterr().out.splitlines() == [HEADER, *map(str, fitted.history_)]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"validation": 1.0}, r"validation must lie in \[0, 1\), got 1"),
        ({"model": "smalcnn"}, "unknown model 'smalcnn' .did you mean 'smallcnn'"),
        ({"optimizer": "adan"}, "unknown optimizer 'adan'"),
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"objective": "trade"}, "unknown objective 'trade' .did you mean 'trades'"),
        ({"objective": "fast", "eps": 8.0}, r"eps must lie in .0, 1. for linf, got 8 .did you mean 8 / 255"),
        ({"precision": "fp8"}, "precision must be one of fp32, bf16, fp16"),
        ({"image_shape": (10, 10)}, r"image_shape must be .* got \(10, 10\) for images of \(1, 12, 12\)"),
        ({"single_logit": True}, "single_logit needs exactly two classes, got 3"),
        ({"class_weight": "even"}, "class_weight"),
    ],
)
def test_a_bad_parameter_is_named_by_fit(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        classifier(**options).fit(*bars())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_what_a_gpu_has_learnt_answers_alike_on_a_cpu() -> None:
    images, labels = bars()
    fitted = classifier(device="cuda").fit(images, labels)
    assert fitted.score(images, labels) > 0.95
    on_gpu = fitted.predict_proba(images)
    np.testing.assert_allclose(fitted.set_params(device="cpu").predict_proba(images), on_gpu, atol=1e-3)


def test_it_starts_from_a_run_and_leaves_frozen_layers_alone(tmp_path: Path) -> None:
    images, names = bars()
    first = classifier(model="bncnn").fit(images, names)
    data = first._dataset(torch.from_numpy(images), torch.arange(60) % 3, first.classes_)
    list(fit(first.model_, data, data, FitConfig(epochs=1), folder=tmp_path, progress=False))
    before = load_checkpoint(tmp_path).state_dict()
    second = classifier(init_from=tmp_path, freeze="features", width=None).fit(images, names)
    after = second.model_.state_dict()
    assert second.model_.config.name == "bncnn"
    head = head_of(second.model_)
    assert all(torch.equal(before[name], after[name]) == (not name.startswith(head)) for name in before)
    with pytest.raises(ValueError, match=r"at layer .*\(it is a bncnn width 0.1, the model a mlp width 0.1"):
        classifier(init_from=tmp_path, model="mlp").fit(images, names)


def test_floats_in_the_units_of_the_training_bytes_are_refused_also_as_rows() -> None:
    rows = np.random.default_rng(0).integers(0, 256, (60, 64), dtype=np.uint8)
    classifier = RobustCNNClassifier(model="logistic", epochs=1, random_state=0).fit(rows, np.arange(60) % 2)
    with pytest.raises(ValueError, match=r"images must be uint8 or floats in \[0, 1\], got float64 .*divide by 255"):
        classifier.predict(rows.astype(np.float64))
    assert (classifier.predict(rows / 255) == classifier.predict(rows)).all()


@pytest.mark.parametrize("eps", [8, float("nan"), -0.1])
def test_an_eps_that_is_none_is_refused_also_where_nothing_is_attacked(eps: float) -> None:
    rows = np.random.default_rng(0).integers(0, 256, (20, 64), dtype=np.uint8)
    with pytest.raises(ValueError, match="eps must"):
        RobustCNNClassifier(model="logistic", epochs=1, eps=eps).fit(rows, np.arange(20) % 2)


def test_a_warm_start_goes_on_where_the_last_fit_ended() -> None:
    rows = np.random.default_rng(0).integers(0, 256, (80, 64), dtype=np.uint8)
    labels = np.where(rows[:, :32].mean(1) > rows[:, 32:].mean(1), "left", "right")
    options = {"model": "logistic", "epochs": 3, "lr": 0.01, "schedule": "constant", "random_state": 0}
    cold = RobustCNNClassifier(**options).fit(rows, labels)
    first = cold.history_[0].train_loss
    warm = RobustCNNClassifier(**options, warm_start=True).fit(rows, labels).fit(rows, labels)
    assert warm.history_[0].train_loss < first
    assert cold.fit(rows, labels).history_[0].train_loss == first
    with pytest.raises(ValueError, match=r"goes on with the classes of the last fit, .*'left'"):
        warm.fit(rows, np.arange(80) % 3)
