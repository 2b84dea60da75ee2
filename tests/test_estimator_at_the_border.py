"""The estimator before data and parameters as strangers bring them."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone
from torch import nn

from robustcnn.attacks import PGD
from robustcnn.core.spec import ImageSpec
from robustcnn.estimator import RobustCNNClassifier
from robustcnn.models import MODELS, register

Array = np.ndarray[Any, Any]
LABELS = np.array(["dark", "light"])[np.arange(40) % 2]
IMAGES = np.random.default_rng(0).integers(0, 100, (40, 1, 8, 8), dtype=np.uint8) + np.uint8(120) * (
    LABELS == "light"
).astype(np.uint8).reshape(-1, 1, 1, 1)
ROWS = IMAGES.reshape(40, -1)


def classifier(**options: Any) -> RobustCNNClassifier:
    return RobustCNNClassifier(**({"model": "logistic", "epochs": 5, "batch_size": 8, "random_state": 0} | options))


def as_objects(images: Array) -> Array:
    """As a table's column holds them."""
    column = np.empty(len(images), dtype=object)
    column[:] = list(images)
    return column


@pytest.mark.parametrize(
    "given",
    [
        lambda images: torch.from_numpy(images),
        lambda images: (torch.from_numpy(images) / 255).requires_grad_(),
        lambda images: torch.from_numpy(images).bfloat16() / 255,
        lambda images: [torch.from_numpy(image) / 255 for image in images],
        list,
        as_objects,
        lambda images: images[:, :, ::-1, ::-1],
    ],
    ids=["tensor", "with a gradient", "bfloat16", "list of tensors", "list of arrays", "column", "negative strides"],
)
def test_pictures_in_any_container_are_the_same_pictures(given: Callable[[Array], object]) -> None:
    fitted = classifier().fit(given(IMAGES), LABELS)
    assert fitted.pixel_format_.shape == (1, 8, 8)
    assert fitted.score(given(IMAGES), LABELS) == 1
    assert fitted.robust_score(given(IMAGES), LABELS) <= 1


def test_pictures_of_several_sizes_are_refused_with_the_cure() -> None:
    with pytest.raises(ValueError, match=r"images must be of one shape, got \(1, 8, 8\), \(1, 8, 5\) .resize them"):
        classifier().fit([IMAGES[0], IMAGES[1, :, :, :5]], LABELS[:2])


@pytest.mark.parametrize(
    "labels",
    [
        LABELS.astype(object),
        LABELS == "light",
        np.where(LABELS == "light", -1, 7),
        np.where(LABELS == "light", 0.0, 1.0),
        np.where(LABELS == "light", np.datetime64("2020-01-01"), np.datetime64("2021-01-01")),
    ],
    ids=["objects", "booleans", "numbers", "whole floats", "dates"],
)
def test_labels_of_any_kind_come_back_as_they_were(labels: Array) -> None:
    fitted = classifier().fit(IMAGES, labels)
    answered = fitted.predict(IMAGES)
    assert answered.dtype == fitted.classes_.dtype
    np.testing.assert_array_equal(answered, labels)
    assert 0 <= fitted.robust_score(IMAGES, labels) <= 1


@pytest.mark.parametrize(
    ("trained", "asked"),
    [
        (ROWS / 255, ROWS.astype(float)),
        (ROWS / 255, ROWS.astype(int)),
        (ROWS.astype(int), ROWS / 255),
        (ROWS.astype(float), IMAGES / 255),
        (ROWS / 16, ROWS.astype(float) * 4),
    ],
    ids=["levels after shares", "whole levels after shares", "shares after levels", "pictures", "wider"],
)
def test_rows_in_other_units_than_in_training_are_warned_about(trained: Array, asked: Array) -> None:
    fitted = classifier().fit(trained, LABELS)
    with pytest.warns(UserWarning, match="X holds values from .*, in training they went from .* other units"):
        fitted.predict(asked)


def test_rows_a_little_outside_the_training_range_are_nothing_to_speak_of() -> None:
    fitted = classifier().fit(ROWS / 255, LABELS)
    fitted.predict(ROWS / 255 * 1.5 - 0.2)
    table = classifier().fit(ROWS / 16, LABELS)
    table.predict(ROWS / 16 * 1.5 - 1)
    np.testing.assert_array_equal(fitted.predict(ROWS), fitted.predict(ROWS / 255))


def test_a_fit_that_fails_leaves_what_the_last_one_learnt() -> None:
    fitted = classifier().fit(IMAGES, LABELS)
    before = fitted.predict_proba(IMAGES)
    with pytest.raises(ValueError, match="needs at least 2 classes in y, got 1 class"):
        fitted.fit(IMAGES, np.full(40, "dark"))
    with pytest.raises(ValueError, match="unknown model 'nosuch'"):
        fitted.set_params(model="nosuch").fit(IMAGES, np.where(LABELS == "dark", "x", "y"))
    np.testing.assert_array_equal(fitted.predict_proba(IMAGES), before)
    assert fitted.score(IMAGES, LABELS) == 1


@pytest.mark.parametrize(
    ("change", "images"),
    [({"model": "mlp"}, IMAGES), ({}, IMAGES[:, :, :5]), ({"model": "mlp", "width": 0.5}, IMAGES)],
    ids=["network", "size", "width"],
)
def test_a_warm_start_with_another_network_is_refused_in_one_line(change: dict[str, Any], images: Array) -> None:
    fitted = classifier(warm_start=True).fit(IMAGES, LABELS)
    with pytest.raises(ValueError, match=r"warm_start=True goes on with the network of the last fit, logistic .*fresh"):
        fitted.set_params(**change).fit(images, LABELS)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"model": nn.Linear(2, 2)}, r"model must be a network's name .* got Linear\(.*models.register"),
        ({"model": None}, "model must be a network's name .* got None"),
        ({"objective": PGD}, "objective must be one such as .*, got the class PGD"),
        ({"objective": None}, "objective must be one such as .*, got None"),
        ({"augment": "mirror"}, "augment must be one such as .*, got 'mirror'"),
        ({"epochs": "3"}, "epochs must be int, got '3'"),
        ({"epochs": 1.5}, "epochs must be int, got 1.5"),
        ({"batch_size": None}, "batch_size must be int, got None"),
        ({"lr": "fast"}, "lr: not a number: 'fast'"),
        ({"eps": None}, "eps must be float, got None"),
        ({"validation": None}, "validation must be float, got None"),
        ({"width": "wide"}, "width: not a number: 'wide'"),
        ({"image_shape": 8}, "image_shape must be tuple, got 8"),
        ({"image_shape": (8.0, 8.0)}, "image_shape must be int, got 8.0"),
        ({"image_shape": (-8, -8)}, r"image_shape must be .* got \(-8, -8\) for 64 features"),
        ({"device": "gpu"}, "device must be auto, cpu or cuda, got 'gpu'"),
    ],
)
def test_a_parameter_of_another_kind_is_named_with_the_rule(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        classifier(**options).fit(ROWS, LABELS)


def test_numbers_of_numpy_and_fractions_are_numbers() -> None:
    options = {"epochs": np.int64(2), "batch_size": np.int32(8), "lr": np.float32(0.05), "eps": "8/255"}
    config = classifier(**options, warm_start=np.bool_(False))._fit_config()
    assert config == classifier(epochs=2, lr=float(np.float32(0.05)))._fit_config()


def test_an_option_of_zero_is_given() -> None:
    fitted = classifier(model="smallcnn", width=0.1, dropout=0.0, epochs=1).fit(IMAGES, LABELS)
    assert fitted.model_.config.dropout == 0


@pytest.mark.parametrize("attack", [PGD, "pgd", None])
def test_what_is_no_attack_is_refused(attack: object) -> None:
    fitted = classifier(epochs=1).fit(IMAGES, LABELS)
    if attack is None:
        assert 0 <= fitted.robust_score(IMAGES, LABELS) <= 1
        return
    with pytest.raises(ValueError, match=r"attacks must be attacks such as PGD\(steps=20\), got (the class PGD|'pgd')"):
        fitted.robust_score(IMAGES, LABELS, attack=attack)  # type: ignore[arg-type]


@pytest.fixture
def own() -> Any:
    @register("at-the-border", smallest=4)
    def network(spec: ImageSpec, outputs: int, *, width: float = 1.0) -> nn.Module:
        units = round(16 * width)
        inputs = spec.channels * spec.height * spec.width
        return nn.Sequential(nn.Flatten(), nn.Linear(inputs, units), nn.ReLU(), nn.Linear(units, outputs))

    yield "at-the-border"
    del MODELS["at-the-border"]


def test_an_own_network_by_its_name_is_cloned_fitted_and_pickled(own: str) -> None:
    fitted = clone(classifier(model=own, width=0.5)).fit(IMAGES, LABELS)
    assert fitted.model_.config.name == own
    assert fitted.score(IMAGES, LABELS) == 1
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict_proba(IMAGES), fitted.predict_proba(IMAGES))
    assert again.robust_score(IMAGES, LABELS) == fitted.robust_score(IMAGES, LABELS)


@pytest.mark.parametrize(
    ("images", "text"),
    [
        (IMAGES[:0], "0 sample.s."),
        (np.where(IMAGES > 210, np.nan, IMAGES / 255), "contains NaN"),
        (np.where(IMAGES > 210, np.inf, IMAGES / 255), "contains infinity"),
        (IMAGES[:, :, :5], "40 features"),
    ],
    ids=["none", "not a number", "infinite", "other size"],
)
def test_pictures_that_cannot_be_answered_for_are_refused(images: Array, text: str) -> None:
    fitted = classifier(epochs=1).fit(IMAGES, LABELS)
    with pytest.raises(ValueError, match=text):
        fitted.predict(images)
    with pytest.raises(ValueError, match=text):
        fitted.robust_score(images, LABELS[: len(images)])


def test_two_examples_of_two_classes_and_one_answer_are_enough() -> None:
    fitted = classifier().fit(IMAGES[:2], LABELS[:2])
    assert fitted.predict(IMAGES[:1]).shape == (1,)
    assert fitted.robust_score(IMAGES[:1], LABELS[:1]) in (0, 1)
