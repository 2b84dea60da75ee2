"""The victims as fixtures, each trained once a session."""

from __future__ import annotations

import pytest
import torch
from sklearn.datasets import load_digits
from victims import Linear, Trained, small_network, train

from robustcnn.core.runtime import global_seed


@pytest.fixture(scope="session")
def trained() -> Trained:
    source = load_digits()
    images = torch.tensor(source.images, dtype=torch.float32)[:, None] / 16
    labels = torch.tensor(source.target, dtype=torch.int64)
    with global_seed(0):
        model = small_network()
        train(model, images[:1400], labels[:1400], epochs=8)
    return Trained(model.eval(), images[1400:1528], labels[1400:1528])


@pytest.fixture
def binary() -> Linear:
    """Two classes, whose logits differ by a random linear function of 16 pixels; float64 for closed forms."""
    generator = torch.Generator().manual_seed(1)
    direction = torch.randn(16, generator=generator, dtype=torch.float64)
    return Linear(torch.stack([-direction, direction]), torch.zeros(2, dtype=torch.float64))
