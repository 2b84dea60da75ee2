"""Five ways to join a window, against plain loops and scipy."""

from __future__ import annotations

import pytest
import torch
from scipy import stats
from torch import Tensor

from robustcnn.models.pooling import POOLINGS, median_pool, mode_pool

MAPS = torch.randint(0, 4, (2, 3, 7, 8), generator=torch.Generator().manual_seed(0)).float()
EXACT = {
    "max": lambda window: window.max(),
    "average": lambda window: window.mean(),
    "min": lambda window: window.min(),
    "median": lambda window: torch.quantile(window, 0.5),
    "mode": lambda window: torch.tensor(float(stats.mode(window.numpy()).mode)),
}


def by_loops(name: str, maps: Tensor, kernel: int, stride: int) -> Tensor:
    rows, columns = ((size - kernel) // stride + 1 for size in maps.shape[2:])
    found = torch.empty(*maps.shape[:2], rows, columns)
    for image, channel, row, column in torch.cartesian_prod(*map(torch.arange, found.shape)).tolist():
        top, left = row * stride, column * stride
        window = maps[image, channel, top : top + kernel, left : left + kernel].flatten()
        found[image, channel, row, column] = EXACT[name](window)
    return found


@pytest.mark.parametrize(("kernel", "stride"), [(2, 2), (3, 2), (2, 1)])
@pytest.mark.parametrize("name", POOLINGS)
def test_a_pooling_is_what_a_plain_loop_finds(name: str, kernel: int, stride: int) -> None:
    torch.testing.assert_close(POOLINGS[name](MAPS, kernel, stride=stride), by_loops(name, MAPS, kernel, stride))


def test_the_stride_is_the_window_when_it_is_not_given() -> None:
    assert median_pool(MAPS, 2).shape == (2, 3, 3, 4)


def test_gradients_pass_to_the_value_that_was_taken() -> None:
    maps = torch.tensor([[[[1.0, 2.0], [2.0, 3.0]]]], requires_grad=True)
    mode_pool(maps, 2).sum().backward()
    assert maps.grad is not None
    assert maps.grad.sum() == 1
    assert maps.grad[0, 0, 0, 0] == maps.grad[0, 0, 1, 1] == 0


def test_a_window_larger_than_the_map_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fit into 7 pixels"):
        median_pool(MAPS, 9)
