"""A small network that reads the 8x8 digits of scikit-learn, and how others are trained beside it."""

from __future__ import annotations

from typing import Any

import pytest
from small_digits import Digits, Trainer

from robustcnn import FitConfig, OptimConfig, build, fit
from robustcnn.core.runtime import global_seed
from robustcnn.data.sets.digits import read_digits
from robustcnn.models import PixelModel


@pytest.fixture(scope="session")
def digits() -> Digits:
    train, test = read_digits(size=8)
    return Digits(train, test, *next(test.batches(128)))


@pytest.fixture(scope="session")
def trained(digits: Digits) -> Trainer:
    def trained_with(objective: Any = None) -> PixelModel:
        with global_seed(0):
            model = build("mlp", digits.train.spec, width=0.25)
        chosen = {} if objective is None else {"objective": objective}
        adam = OptimConfig(name="adam", lr=3e-3)
        config = FitConfig(epochs=8, batch_size=32, monitor="valid_accuracy", optim=adam, **chosen)
        list(fit(model, digits.train, digits.test, config, progress=False))
        return model.eval()

    return trained_with


@pytest.fixture(scope="session")
def plain(trained: Trainer) -> PixelModel:
    """Right on some 96 % of the digits."""
    return trained()
