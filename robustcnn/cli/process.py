"""How a process ends and warns on a terminal: SIGTERM unwinds as Ctrl-C does, a warning is one line."""

from __future__ import annotations

import contextlib
import signal
import sys
import warnings
from collections.abc import Iterator
from typing import NoReturn


class Stopped(BaseException):
    """The process was asked to end."""


@contextlib.contextmanager
def terminating() -> Iterator[None]:
    """Inside the block SIGTERM unwinds the stack, as Ctrl-C does."""

    def stop(*_: object) -> NoReturn:
        raise Stopped

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def plain_warnings() -> Iterator[None]:
    """Inside the block a warning is one line for the user, not a place in the source."""

    def show(message: Warning | str, *_: object) -> None:
        sys.stderr.write(f"robustcnn: {' '.join(str(message).split())}\n")
        sys.stderr.flush()

    with warnings.catch_warnings():
        warnings.showwarning = show  # type: ignore[assignment]
        yield
