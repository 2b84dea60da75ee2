"""Typed configs as command-line options: fractions, help from field docstrings, and errors of one line."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Sequence
from typing import TypeVar

import tyro
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

from robustcnn.plain import number

T = TypeVar("T")


class Problem(ValueError):
    """A user's mistake, told in one line."""


def parse(kind: type[T], arguments: Sequence[str], *, verb: str, text: str, default: T) -> T:
    """`default` with what the arguments say instead; `--help` prints `text` and every option, then exits."""
    told = io.StringIO()
    try:
        with contextlib.redirect_stderr(told):
            return tyro.cli(
                kind,
                prog=f"robustcnn {verb}",
                description=text,
                args=list(arguments),
                default=default,
                registry=_fractions(),
                config=(tyro.conf.FlagCreatePairsOff,),
            )
    except SystemExit as end:
        if not end.code:
            raise
        raise Problem(f"{verb}: {_one_line(told.getvalue())} (robustcnn {verb} --help lists all options)") from None


def take(arguments: Sequence[str], flag: str) -> tuple[str | None, list[str]]:
    """The value of `flag` (`--flag VALUE` or `--flag=VALUE`), if it is there, and the other arguments."""
    rest = list(arguments)
    for index, word in enumerate(rest):
        if word.startswith(flag + "="):
            return word.removeprefix(flag + "="), rest[:index] + rest[index + 1 :]
        if word == flag:
            if index + 1 == len(rest):
                raise Problem(f"{flag} needs a value")
            return rest[index + 1], rest[:index] + rest[index + 2 :]
    return None, rest


def _fractions() -> ConstructorRegistry:
    """Numbers may be written as 8/255."""
    registry = ConstructorRegistry()

    @registry.primitive_rule
    def _(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[float] | None:
        if info.type is not float:
            return None
        return PrimitiveConstructorSpec(
            nargs=1,
            metavar="FLOAT",
            instance_from_str=lambda words: number(words[0]),
            is_instance=lambda value: isinstance(value, float | int) and not isinstance(value, bool),
            str_from_instance=lambda value: [f"{value:g}"],
        )

    return registry


def _one_line(page: str) -> str:
    """The problem told by the parser's framed and wrapped page: a title, the problem, hints, with rules between."""
    lines = [line.strip(" │╭╮╰╯|+") for line in page.splitlines()]
    _, *body = filter(None, lines)
    sections = [" ".join(part) for part in _split(body) if part]
    problem = sections[0]
    meant = re.search(r"Perhaps you meant:\s*(--[\w.-]+)", " ".join(sections))
    return f"{problem}; did you mean {meant[1]}?" if meant else problem


def _split(lines: list[str]) -> list[list[str]]:
    """The runs of lines between rules."""
    parts: list[list[str]] = [[]]
    for line in lines:
        if not line.strip("─-"):
            parts.append([])
        else:
            parts[-1].append(line)
    return parts
