"""The 1,797 handwritten 8x8 digits that come with scikit-learn: real data that is always there."""

from __future__ import annotations

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
    from sklearn.datasets import load_digits  # half a second that only this set needs

    # Floats, and as many again while they are drawn.
    refuse_too_large(f"the digits at {size} pixels a side", 8 * 1797 * size**2, "ask for a smaller --data.size")
    found = load_digits()
    strokes = torch.from_numpy(found.images).float().unsqueeze(1) * (255 / DARKEST)
    drawn = F.interpolate(strokes, (size, size), mode="bicubic", antialias=True)
    # Bicubic curves overshoot at sharp edges.
    grey = drawn.round().clamp(0, 255).to(torch.uint8).squeeze(1)
    digits = resident(grey.numpy(), np.asarray(found.target), CLASSES)
    return digits.split(0.2, generator=seeded(0))
