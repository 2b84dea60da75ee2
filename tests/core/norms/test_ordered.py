"""Rows come in order by numpy as by torch, ties, zeros and single columns included."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from robustcnn.core.norms.ordered import falling, kth_largest
from robustcnn.core.runtime import seeded


class Elsewhere(Tensor):
    """Numbers that numpy is not asked about."""


ROWS = {
    "different": torch.rand(7, 50, generator=seeded(0)),
    "tied": torch.randint(0, 4, (7, 50), generator=seeded(1)) / 4,
    "of all sizes": 10 ** (76 * torch.rand(7, 50, generator=seeded(2)) - 38),
    "zero": torch.zeros(3, 5),
    "single": torch.rand(4, 1, generator=seeded(3)),
    "double": torch.rand(7, 50, generator=seeded(4), dtype=torch.float64),
    "none": torch.rand(0, 9),
}


@pytest.mark.parametrize("kind", ROWS)
def test_numpys_order_is_torchs(kind: str) -> None:
    rows = ROWS[kind]
    greatest, place = falling(rows)
    assert torch.equal(greatest, rows.sort(dim=1, descending=True).values)
    assert torch.equal(rows.gather(1, place), greatest)
    assert torch.equal(place.sort(1).values, torch.arange(rows.shape[1]).expand_as(rows))


@pytest.mark.parametrize("kind", ROWS)
def test_the_kth_largest_is_torchs(kind: str) -> None:
    rows = ROWS[kind]
    ordered = rows.sort(dim=1, descending=True).values
    which = torch.randint(1, rows.shape[1] + 1, (len(rows),), generator=seeded(5))
    for mine in (rows, rows.as_subclass(Elsewhere)):
        assert torch.equal(kth_largest(mine, which).as_subclass(Tensor), ordered.gather(1, which[:, None] - 1))
        for every in {1, rows.shape[1]}:
            assert torch.equal(kth_largest(mine, every).as_subclass(Tensor), ordered[:, every - 1, None])


def test_what_wants_a_gradient_is_ordered_too() -> None:
    rows = ROWS["different"].clone().requires_grad_()
    assert torch.equal(kth_largest(rows, 3), kth_largest(rows.detach(), 3))
    assert torch.equal(falling(rows)[0], falling(rows.detach())[0])
