"""The real sets, where there are any: sizes, class counts and statistics as published."""

from __future__ import annotations

from pathlib import Path

import pytest

from robustcnn.data.registry import Splits, load

pytestmark = pytest.mark.data


def real(root: Path, name: str, **options: object) -> Splits:
    """The set, or a skip where this one is not there; a damaged one still fails."""
    try:
        return load(name, root=root, **options)
    except FileNotFoundError as absent:
        pytest.skip(str(absent))


def totals(splits: Splits) -> list[int]:
    return [len(splits.train) + len(splits.validation), len(splits.test)]


def test_mnist_has_its_published_counts_and_statistics(real_data: Path) -> None:
    splits = real(real_data, "mnist")
    assert totals(splits) == [60_000, 10_000]
    assert splits.train.spec.shape == (1, 28, 28)
    assert splits.test.counts.tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert (splits.train.counts + splits.validation.counts).tolist() == [
        *(5923, 6742, 5958, 6131, 5842),
        *(5421, 5918, 6265, 5851, 5949),
    ]
    assert splits.train.spec.mean[0] == pytest.approx(0.1307, abs=5e-4)
    assert splits.train.spec.std[0] == pytest.approx(0.3081, abs=5e-4)


def test_fashion_mnist_has_a_tenth_of_each_kind(real_data: Path) -> None:
    splits = real(real_data, "fashion-mnist")
    assert totals(splits) == [60_000, 10_000]
    assert splits.test.counts.tolist() == [1000] * 10
    assert splits.validation.counts.tolist() == [600] * 10
    assert splits.train.spec.mean[0] == pytest.approx(0.2860, abs=1e-3)
    assert splits.train.spec.std[0] == pytest.approx(0.3530, abs=1e-3)


def test_cifar10_has_a_tenth_of_each_kind(real_data: Path) -> None:
    splits = real(real_data, "cifar10")
    assert totals(splits) == [50_000, 10_000]
    assert splits.train.spec.shape == (3, 32, 32)
    assert splits.test.counts.tolist() == [1000] * 10
    assert splits.train.counts.tolist() == [4500] * 10
    assert splits.train.spec.mean == pytest.approx((0.4914, 0.4822, 0.4465), abs=1e-3)
    assert splits.train.spec.std == pytest.approx((0.2470, 0.2435, 0.2616), abs=1e-3)


def test_gtsrb_reads_as_a_file_of_ones_own(real_data: Path) -> None:
    splits = real(real_data, "npz:gtsrb.npz")
    assert splits.train.spec.num_classes == 43
    assert splits.train.spec.shape == (3, 32, 32)


@pytest.mark.slow
def test_fer2013_has_its_published_counts(real_data: Path) -> None:
    splits = real(real_data, "fer2013")
    assert [len(part) for part in splits] == [28_709, 3_589, 3_589]
    assert splits.train.counts.tolist() == [3995, 436, 4097, 7215, 4830, 3171, 4965]
    assert sum(part.counts for part in splits).tolist()[:2] == [4953, 547]
