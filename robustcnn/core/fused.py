"""Many small kernels as few, where launching one costs more than what it computes."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, wraps
from typing import ParamSpec, TypeVar

import torch

from robustcnn.core.runtime import first_line, out_of_memory

P = ParamSpec("P")
T = TypeVar("T")

_FUSING: ContextVar[bool] = ContextVar("fusing", default=False)
_LEFT: set[object] = set()
"""What the compiler failed on in this process."""


@contextmanager
def fusing(wanted: bool) -> Iterator[None]:
    """Within the block `fused` functions are compiled; inside another such block that is so anyway."""
    token = _FUSING.set(wanted or _FUSING.get())
    try:
        yield
    finally:
        _FUSING.reset(token)


def fused(function: Callable[P, T]) -> Callable[P, T]:
    """A function of tensors and numbers that changes none of them, compiled while `fusing`.

    It gives what it gives uncompiled, to rounding; where the compiler fails that is said once, and it runs as it is.
    """

    @wraps(function)
    def call(*args: P.args, **options: P.kwargs) -> T:
        if not _FUSING.get() or function in _LEFT:
            return function(*args, **options)
        try:
            answer: T = _compiled(function)(*args, **options)
        except Exception as problem:
            if out_of_memory(problem):
                raise
            answer = function(*args, **options)
            warnings.warn(f"an attack's arithmetic is not compiled: {first_line(problem)}", stacklevel=2)
            _LEFT.add(function)
        return answer

    return call


@cache
def _compiled(function: Callable[P, T]) -> Callable[P, T]:
    """Once for any number of examples."""
    compiled: Callable[P, T] = torch.compile(function, dynamic=True)
    return compiled
