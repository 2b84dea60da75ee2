"""What a sweep varies: an option by its path, and the values that it may take."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from robustcnn.core.plain_data import did_you_mean, number, shown

Scale = Literal["log", "uniform", "int", "choice"]
EXAMPLE = 'write fit.optim.lr="log(1e-4, 1e-1)", fit.batch_size="int(16, 128)" or fit.optim.name="choice(adam, sgd)"'


@dataclass(frozen=True, kw_only=True, slots=True)
class Range:
    """One option and its values: between two numbers, or one of several words."""

    path: str
    """Of the option in the training's config, such as fit.optim.lr."""
    scale: Scale
    values: tuple[float | str, ...]
    """Least and greatest, or all choices."""


def read_range(text: str) -> Range:
    """`fit.optim.lr=log(1e-4, 8/255)`, `int(..)`, `uniform(..)` or `choice(a, b, c)`."""
    found = re.fullmatch(r"\s*([\w.]+)\s*=\s*(\w+)\((.*)\)\s*", text)
    if found is None:
        raise ValueError(f"cannot read {shown(text)} ({EXAMPLE})")
    path, scale, inside = found[1], found[2], [word.strip() for word in found[3].split(",")]
    if scale not in get_args(Scale):
        raise ValueError(f"{path}: unknown range {shown(scale)}{did_you_mean(scale, get_args(Scale))}")
    if scale == "choice":
        return Range(path=path, scale="choice", values=tuple(map(_value, inside)))
    if len(inside) != 2:
        raise ValueError(f"{path}: {scale} wants a least and a greatest value, got {len(inside)} ({EXAMPLE})")
    low, high = (number(word) for word in inside)
    if not low < high or (scale == "log" and low <= 0):
        rule = "0 < least < greatest" if scale == "log" else "least < greatest"
        raise ValueError(f"{path}: {scale} wants {rule}, got {low:g} and {high:g}")
    if scale == "int" and not (low.is_integer() and high.is_integer()):
        raise ValueError(f"{path}: int wants whole numbers, got {low:g} and {high:g}")
    return Range(path=path, scale=scale, values=(low, high))  # type: ignore[arg-type]


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values by path as tables inside tables."""
    tables: dict[str, Any] = {}
    for path, value in values.items():
        *outer, last = path.split(".")
        inside = tables
        for name in outer:
            inside = inside.setdefault(name, {})
        inside[last] = value
    return tables


def distinct(ranges: Sequence[Range]) -> None:
    """Refuse a sweep that varies nothing, or one option twice."""
    if not ranges:
        raise ValueError(f"vary must name at least one option ({EXAMPLE})")
    paths = [each.path for each in ranges]
    for path in paths:
        if paths.count(path) > 1:
            raise ValueError(f"vary names {path} twice")


def _value(word: str) -> float | str:
    try:
        value = number(word)
    except ValueError:
        return word
    return int(value) if value.is_integer() and "." not in word else value
