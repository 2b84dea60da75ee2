"""Randomised smoothing as a defence: the model, and its certificates."""

from __future__ import annotations

from typing import Any

from torch import nn

from robustcnn.certify.smoothing import Certificates, smoothed
from robustcnn.certify.smoothing import Smoothed as Smoothed
from robustcnn.data.resident import ResidentDataset


def certify(model: nn.Module, data: ResidentDataset, *, sigma: float, **options: Any) -> Certificates:
    """`certify.smoothed` of a model (not a `Smoothed`, which it makes of it)."""
    if isinstance(model, Smoothed):
        raise ValueError("model must be the one inside the Smoothed (certify draws its own noise): give smoothed.model")
    return smoothed(model, data, sigma=sigma, **options)
