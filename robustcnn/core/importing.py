"""Large libraries are loaded sooner while nobody looks for garbage among what they bring."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def importing() -> Iterator[None]:
    """Inside the block the garbage collector rests; afterwards it is as it was.

    What is imported stays: looking through it again and again is a fifteenth of the time that loading takes.
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
