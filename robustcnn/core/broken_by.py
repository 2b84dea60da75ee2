"""One coding of what broke an example, for ensembles and judges alike."""

from __future__ import annotations

from enum import IntEnum


class BrokenBy(IntEnum):
    """What is no attack; the index of an attack, from 0 on, says that this one was the first to succeed."""

    STANDING = -2
    """Nothing did."""
    CLEAN = -1
    """The model is wrong without any attack."""
