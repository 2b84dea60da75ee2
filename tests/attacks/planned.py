"""What torch's compiler would launch for a function, kernel by kernel, as it plans it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
from kernels import Counting
from torch._functorch import config as functorch
from torch._inductor import config as inductor
from torch._inductor.scheduler import BaseSchedulerNode, ExternKernelSchedulerNode, Scheduler
from torch.utils._python_dispatch import _disable_current_modes

PLANNED: dict[Callable[..., Any], int] = {}
"""Kernels of each function, planned once."""


class Planned:
    """Stands for the compiler: functions run as they are, and count as the kernels that are planned for them."""

    def __init__(self, counting: Counting) -> None:
        self.counting = counting

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any) -> Any:
            with _disable_current_modes():
                if function not in PLANNED:
                    PLANNED[function] = planned(function, *args)
                answer = function(*args)
            self.counting.kernels["planned"] += PLANNED[function]
            return answer

        return run


def planned(function: Callable[..., Any], *args: Any) -> int:
    """Kernels, those of operations that the compiler leaves alone included."""
    seen: list[int] = []
    torch.compiler.reset()
    with _watched(seen), inductor.patch(fx_graph_cache=False), functorch.patch(enable_autograd_cache=False):
        torch.compile(function, dynamic=True)(*args)
    assert seen, "nothing was compiled"
    return sum(seen)


@contextmanager
def _watched(seen: list[int]) -> Iterator[None]:
    emit = Scheduler.codegen

    def codegen(scheduler: Scheduler) -> None:
        seen.append(sum(map(_launches, scheduler.nodes)))
        return emit(scheduler)

    with patch.object(Scheduler, "codegen", codegen):
        yield


def _launches(node: BaseSchedulerNode) -> int:
    kind = type(node).__name__
    if kind == "NopKernelSchedulerNode":
        return 0
    if isinstance(node, ExternKernelSchedulerNode):
        return int(type(node.node).__name__ != "MultiOutput")
    # Loops round loops are one function on a CPU, and several kernels on a device.
    return len(node.get_nodes()) if kind == "OuterLoopFusedSchedulerNode" else 1
