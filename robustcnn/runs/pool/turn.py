"""Threads of which one is at work at a time: the others wait for pieces, or for their turn."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Turn:
    """Whoever is inside works; torch's and the libraries' global state is nobody else's meanwhile."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    @contextmanager
    def mine(self) -> Iterator[None]:
        """Work inside the block."""
        with self._lock:
            yield

    @contextmanager
    def yours(self) -> Iterator[None]:
        """Somebody else may work inside the block, which only waits."""
        self._lock.release()
        try:
            yield
        finally:
            self._lock.acquire()
