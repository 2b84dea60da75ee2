"""A config as a TOML file."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TypeVar

from robustcnn.core.plain_data import from_plain

T = TypeVar("T")
MOST = 1 << 20
"""Bytes."""


def read_toml(path: Path, base: T) -> T:
    """`base` with what the file says instead; tables are named as the options are: [fit.optim] lr = 0.1."""
    if not path.exists():
        raise FileNotFoundError(f"--config {path}: there is no such file")
    if not path.is_file():
        raise ValueError(f"--config {path} is no file")
    if (size := path.stat().st_size) > MOST:
        raise ValueError(f"--config {path} has {size:,} bytes, a config has at most {MOST:,}")
    try:
        plain = tomllib.loads(path.read_text())
    except RecursionError:
        raise ValueError(f"--config {path} is nested too deeply to be a config") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, ValueError) as problem:
        raise ValueError(f"--config {path} is not TOML: {problem}") from None
    try:
        return from_plain(type(base), plain, base=base)
    except (ValueError, TypeError, RecursionError) as problem:
        raise ValueError(f"--config {path}: {problem}") from None
