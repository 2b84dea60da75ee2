"""What a check costs: pictures shown to a model, and seconds."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from torch import Tensor, nn


class Meter:
    """Counts inside its block; a search that works out windows only is told of by its seconds alone."""

    def __init__(self, *models: nn.Module) -> None:
        self.models = list(models)
        self.passes, self.seconds = 0, 0.0
        self._start = 0.0

    def watch(self, *models: nn.Module) -> None:
        """Count these too."""
        self.models += models

    def __enter__(self) -> Self:
        self.passes, self._start = 0, time.perf_counter()
        self._hooks = [each.register_forward_pre_hook(self._count) for each in dict.fromkeys(self.models)]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        for hook in self._hooks:
            hook.remove()
        self.seconds = time.perf_counter() - self._start

    def _count(self, _: nn.Module, inputs: tuple[object, ...]) -> None:
        if inputs and isinstance(inputs[0], Tensor) and inputs[0].ndim:
            self.passes += len(inputs[0])
