"""A config as a TOML file."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TypeVar

from robustcnn.core.plain_data import from_plain

T = TypeVar("T")


def read_toml(path: Path, base: T) -> T:
    """`base` with what the file says instead; tables are named as the options are: [fit.optim] lr = 0.1."""
    try:
        plain = tomllib.loads(path.read_text())
    except FileNotFoundError:
        raise FileNotFoundError(f"--config {path}: there is no such file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise ValueError(f"--config {path} is not TOML: {problem}") from None
    try:
        return from_plain(type(base), plain, base=base)
    except ValueError as problem:
        raise ValueError(f"--config {path}: {problem}") from None
