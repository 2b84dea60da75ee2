"""Searches of the same images side by side, where one alone would leave a device idle."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from robustcnn.attacks.base import chunk_of
from robustcnn.attacks.search_state import SearchState
from robustcnn.core.waiting import HOSTS


def side_by_side(model: nn.Module, examples: Tensor, most: int) -> int:
    """How many searches fill a batch: one on a CPU, where those that fell need not be searched again."""
    if examples.device.type in HOSTS or not len(examples):
        return 1
    return max(1, min(most, chunk_of(model, len(examples)) // len(examples)))


def copies(tensor: Tensor, count: int) -> Tensor:
    """So many times, one after the other."""
    return tensor.repeat(count, *[1] * (tensor.ndim - 1))


def joined(aims: Sequence[Tensor | None], rows: Tensor) -> Tensor | None:
    """The classes that the copies of these examples are led to, or None."""
    classes = [aim[rows] for aim in aims if aim is not None]
    return torch.cat(classes) if classes else None


def widened(state: SearchState, count: int) -> SearchState:
    """A search of so many copies of what is still attacked."""
    return SearchState(state.model, copies(state.images, count), copies(state.labels, count))


def folded(state: SearchState, wide: SearchState, count: int) -> None:
    """Keep the first success of an example's copies, or else the worst image."""
    # Who is attacked no longer has succeeded.
    score = wide.score.new_full((wide.count,), torch.inf).index_copy(0, wide.rows, wide.score)
    best = score.view(count, -1).argmax(0) * len(state) + torch.arange(len(state), device=score.device)
    state.take(wide.best_found[best], score[best])
    state.drop_succeeded()
