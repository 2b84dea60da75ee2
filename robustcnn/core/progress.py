"""How far an attack is: told from inside to whoever listens, so that minutes of work are not silent."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """An ensemble at one of its members, or a search at one of its steps."""

    attack: str
    """The one that is at work."""
    decided: int
    """Images that need no more work."""
    count: int
    share: float
    """Of the whole work that is done, as far as it can be told."""

    def say(self, seconds: float) -> str:
        """With the seconds that were spent until now, and those that are left if it goes on so."""
        left = f", about {seconds / self.share - seconds:,.0f} s left" if self.share > 0 else ""
        return f"{self.attack}: {self.decided} of {self.count} images decided, {seconds:,.0f} s{left}"


Listener = Callable[[Progress], None]
_LISTENER: ContextVar[Listener | None] = ContextVar("listener", default=None)


def tell(progress: Callable[[], Progress]) -> None:
    """Worked out only where somebody listens."""
    listener = _LISTENER.get()
    if listener is not None:
        listener(progress())


@contextmanager
def listening(listener: Listener | None) -> Iterator[None]:
    """Inside the block `listener` hears of it."""
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)


@contextmanager
def narrowed(attack: str, decided: int, count: int, start: float, share: float) -> Iterator[None]:
    """Inside the block a member of an ensemble is at work: what it tells is a part of the whole."""
    outer = _LISTENER.get()

    def listener(inner: Progress) -> None:
        assert outer is not None
        outer(Progress(attack=attack, decided=decided + inner.decided, count=count, share=start + share * inner.share))

    with listening(listener if outer else None):
        tell(lambda: Progress(attack=attack, decided=0, count=count - decided, share=0.0))
        yield


def every(seconds: float, show: Callable[[str], None]) -> Listener:
    """Shows at most so often, with the time since now."""
    start = time.perf_counter()
    last = start

    def listener(progress: Progress) -> None:
        nonlocal last
        now = time.perf_counter()
        if now - last >= seconds:
            last = now
            show(progress.say(now - start))

    return listener
