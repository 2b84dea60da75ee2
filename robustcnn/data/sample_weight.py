"""How much each example counts, in the words of scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor

from robustcnn.data.weights import check_weights


def weights_of(given: Any, count: int) -> npt.NDArray[np.float64]:
    """Of a user's `sample_weight`, one number for all or one an example: float64 (count,)."""
    weights = np.asarray(given)
    try:
        weights = weights.astype(np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"sample_weight must hold numbers, got {weights.dtype}") from None
    if weights.ndim == 0:
        weights = np.full(count, float(weights))
    check_weights(torch.from_numpy(weights), count, "sample_weight")
    return weights


def combined(
    labels: npt.NDArray[np.int64], classes: npt.NDArray[Any], class_weight: Any, weights: npt.NDArray[np.float64] | None
) -> Tensor | None:
    """Each example's own weight times its class's, as scikit-learn reads `class_weight`, with a mean of 1; None: alike.

    A mean of 1 keeps the meaning of the learning rate.
    """
    if weights is None and class_weight is None:
        return None
    own = np.ones(len(labels)) if weights is None else weights
    if class_weight is None:
        by_class = np.ones(len(classes))
    elif isinstance(class_weight, str) and class_weight == "balanced":
        by_class = own.sum() / (len(classes) * np.bincount(labels, own, len(classes)))
    else:
        by_class = compute_class_weight(class_weight, classes=classes, y=classes[labels])
    each = own * by_class[labels]
    if not (np.isfinite(each).all() and (each >= 0).all() and each.any()):
        raise ValueError(f"class_weight must be finite and at least 0, and not 0 for all, got {class_weight}")
    return torch.tensor(each / each.mean(), dtype=torch.float32)
