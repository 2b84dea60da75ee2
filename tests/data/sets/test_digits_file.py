"""The digits come from scikit-learn's own file, read without scikit-learn."""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits

from robustcnn.data.sets.digits import _digits


def test_the_file_read_without_scikit_learn_is_what_scikit_learn_reads() -> None:
    images, labels = _digits()
    found = load_digits()
    assert np.array_equal(images, found.images)
    assert np.array_equal(labels, found.target)
