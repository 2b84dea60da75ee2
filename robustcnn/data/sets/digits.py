"""The 1,797 handwritten 8x8 digits that come with scikit-learn: real data that is always there."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from robustcnn.core.memory import refuse_too_large
from robustcnn.core.runtime import seeded
from robustcnn.data.resident import ResidentDataset
from robustcnn.data.sets.raw import resident

CLASSES = tuple("0123456789")
DARKEST = 16


def read_digits(*, size: int = 32) -> tuple[ResidentDataset, ...]:
    """(training, test): a fifth of each class tests, always the same one; grey, `size` pixels a side."""
    # Floats, and as many again while they are drawn.
    refuse_too_large(f"the digits at {size} pixels a side", 8 * 1797 * size**2, "ask for a smaller --data.size")
    images, labels = _digits()
    strokes = torch.from_numpy(images).float().unsqueeze(1) * (255 / DARKEST)
    drawn = F.interpolate(strokes, (size, size), mode="bicubic", antialias=True)
    # Bicubic curves overshoot at sharp edges.
    grey = drawn.round().clamp(0, 255).to(torch.uint8).squeeze(1)
    digits = resident(grey.numpy(), labels, CLASSES)
    return digits.split(0.2, generator=seeded(0))


def _digits() -> tuple[np.ndarray, np.ndarray]:
    """Pictures (N, 8, 8) and their labels, as `sklearn.datasets.load_digits` gives them."""
    home = find_spec("sklearn")
    file = Path((home and home.origin) or "").parent / "datasets" / "data" / "digits.csv.gz"
    if not file.is_file():
        from sklearn.datasets import load_digits

        found = load_digits()
        return found.images, np.asarray(found.target)
    # Read without scikit-learn, whose import takes a second.
    rows = np.loadtxt(file, delimiter=",")
    return rows[:, :-1].reshape(-1, 8, 8), rows[:, -1].astype(np.int64)
