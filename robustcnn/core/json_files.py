"""Pages of JSON, read with suspicion: whatever is wrong with one is one line that names it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

from robustcnn.core.plain_data import from_plain, shown

T = TypeVar("T")
MOST = 1 << 26
"""Bytes of a page: a training of 100,000 epochs has half of it."""


def read_json(path: Path) -> Any:
    """What the page says."""
    if path.exists() and not path.is_file():
        raise ValueError(f"{path} is no file")
    if (size := path.stat().st_size) > MOST:
        raise ValueError(f"{path} has {size:,} bytes, a page of ours has at most {MOST:,}")
    try:
        return json.loads(path.read_bytes())
    except RecursionError:
        raise ValueError(f"{path} is nested too deeply to be a page of ours") from None
    except ValueError as problem:
        raise ValueError(f"{path} is not JSON: {problem}") from None


def read_value(kind: type[T], path: Path, *, cure: str, key: str | None = None) -> T:
    """The value of type `kind` that the page describes, or what it says under `key`."""
    try:
        return from_plain(kind, read_json(path) if key is None else read_table(path)[key])
    except KeyError:
        raise ValueError(f"{path} has no {key!r} ({cure})") from None
    except (ValueError, TypeError, RecursionError) as problem:
        said = str(problem)
        raise ValueError(f"{said if str(path) in said else f'{path}: {said}'} ({cure})") from None


def read_table(path: Path) -> dict[str, Any]:
    """The page's entries."""
    plain = read_json(path)
    if not isinstance(plain, dict):
        raise ValueError(f"{path} must hold a table, got {shown(plain)}")
    return plain
