"""Runs' names as people read them: no time and process where nothing is told apart by them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import takewhile

STAMP = re.compile(r"-\d{8}-\d{6}-\d{3}$")


def short(name: str) -> str:
    """Without the time and process at its end."""
    return STAMP.sub("", name) or name


def labels(names: Sequence[str]) -> list[str]:
    """The shortest form in which these names still differ: no stamps, no common beginning; as they are at worst."""
    ways: tuple[Callable[[Sequence[str]], list[str]], ...] = (
        lambda names: _without_beginning([short(name) for name in names]),
        lambda names: [short(name) for name in names],
        _without_beginning,
    )
    for way in ways:
        found = way(names)
        if len(set(found)) == len(found) and all(found):
            return found
    return list(names)


def _without_beginning(names: Sequence[str]) -> list[str]:
    """Whole words only; one name alone keeps them."""
    if len(names) < 2:
        return list(names)
    words = [name.split("-") for name in names]
    count = sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, zip(*words, strict=False)))
    return ["-".join(each[count:]) for each in words]
