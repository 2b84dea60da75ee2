from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits

from robustcnn.data.sets.digits import read_digits


def test_all_1797_digits_are_there_a_fifth_of_each_to_test() -> None:
    train, test = read_digits()
    assert (len(train), len(test)) == (1438, 359)
    assert train.images.shape[1:] == (1, 32, 32)
    everything = np.bincount(load_digits().target)
    assert (train.counts + test.counts).tolist() == everything.tolist()
    assert (test.counts - 0.2 * (train.counts + test.counts)).abs().max() < 1


def test_at_their_own_size_they_are_scikit_learns_pixels() -> None:
    found = sorted(image.numpy().tobytes() for part in read_digits(size=8) for image in part.images)
    wanted = (load_digits().images * 255 / 16).round().astype(np.uint8)
    assert found == sorted(image.tobytes() for image in wanted)


@pytest.mark.parametrize("size", [16, 32, 48])
def test_drawn_larger_they_keep_their_brightness(size: int) -> None:
    small, large = read_digits(size=8)[1], read_digits(size=size)[1]
    assert large.images.shape[2:] == (size, size)
    assert large.images.float().mean().item() == pytest.approx(small.images.float().mean().item(), rel=0.03)


def test_they_are_the_same_every_time() -> None:
    assert [part.fingerprint for part in read_digits()] == [part.fingerprint for part in read_digits()]
