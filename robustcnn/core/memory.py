"""How much of this machine's memory one thing may take, asked before it is taken."""

from __future__ import annotations

import os
from functools import cache

CAP = 1 << 35
"""32 GiB: nothing that is read or built here at once is larger, whatever the machine."""


@cache
def most_bytes() -> int:
    """Three quarters of this machine's memory, as far as that is known, and never more than CAP."""
    try:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return CAP
    return min(CAP, total * 3 // 4) if total > 0 else CAP


def refuse_too_large(what: str, size: int, cure: str) -> None:
    """Refuse what would not fit, before anything is allocated."""
    if size > most_bytes():
        raise ValueError(f"{what} would take {size:,} bytes, at most {most_bytes():,} are taken here ({cure})")
