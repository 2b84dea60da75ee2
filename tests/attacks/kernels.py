"""What an attack asks of the device, counted operation by operation."""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

FREE = {
    *("view", "_unsafe_view", "reshape", "expand", "unsqueeze", "squeeze", "slice", "select", "transpose", "t"),
    *("permute", "detach", "alias", "as_strided", "split", "unbind", "chunk", "empty", "empty_like", "new_empty"),
    *("empty_strided", "new_empty_strided", "lift_fresh", "_local_scalar_dense", "is_pinned", "view_as"),
}
"""Operations that compute nothing: other looks at the same memory, memory itself, and what the host reads."""


class Counting(TorchDispatchMode):
    """Counts the kernels that are launched inside the block."""

    def __init__(self) -> None:
        super().__init__()
        self.kernels: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.__name__.partition(".")[0]
        if name not in FREE:
            self.kernels[name] += 1
        return func(*args, **(kwargs or {}))

    @property
    def total(self) -> int:
        return sum(self.kernels.values())


class LinearModel(nn.Module):
    """Ten logits, linear in the pixels: 1 kernel forward, 1 for the gradient."""

    def __init__(self, pixels: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.weight = nn.Parameter(torch.randn(pixels, 10, generator=generator) / pixels**0.5)

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1) @ self.weight
