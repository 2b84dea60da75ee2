"""Every moment at which a host would have to wait for a device, noted while real numbers are worked out on a CPU."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from robustcnn.core import waiting
from robustcnn.core.norms import sorted_root

ASKS = {
    *("_local_scalar_dense", "is_nonzero", "equal", "nonzero", "masked_select", "bincount", "argwhere"),
    *("_unique2", "unique_dim", "unique_consecutive", "repeat_interleave"),
}
"""Operations whose shape or whose answer is not known before the numbers are."""
SOURCES = "robustcnn/"


@contextmanager
def far_away() -> Iterator[None]:
    """All devices are taken for ones that have to be waited for."""
    hosts = (waiting.HOSTS, sorted_root.SEARCHED)
    before = [set(each) for each in hosts]
    for each in hosts:
        each.clear()
    try:
        yield
    finally:
        for each, kinds in zip(hosts, before, strict=True):
            each.update(kinds)


class Waits(TorchDispatchMode):
    """Notes the lines of ours that wait, and how often: numbers that are read, and choices by a mask."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.lines: Counter[str] = Counter()
        tolist = Tensor.tolist

        def noted(tensor: Tensor) -> Any:
            self._note()
            return tolist(tensor)

        # Of a tensor on a CPU it asks for nothing that could be seen.
        monkeypatch.setattr(Tensor, "tolist", noted)

    def __enter__(self) -> Self:
        self.lines.clear()
        super().__enter__()
        return self

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.__name__.partition(".")[0]
        masks = name in ("index", "index_put", "index_put_") and any(
            isinstance(each, Tensor) and each.dtype in (torch.bool, torch.uint8) for each in args[1]
        )
        if masks or name in ASKS:
            self._note()
        return func(*args, **(kwargs or {}))

    @property
    def total(self) -> int:
        return self.lines.total()

    def _note(self) -> None:
        frame = sys._getframe(2)
        while frame.f_back is not None and SOURCES not in frame.f_code.co_filename:
            frame = frame.f_back
        file = frame.f_code.co_filename.rpartition(SOURCES)[2]
        self.lines[f"{file}:{frame.f_code.co_name}"] += 1
