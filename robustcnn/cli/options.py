"""Typed configs as command-line options: fractions, help from field docstrings, and errors of one line."""

from __future__ import annotations

import contextlib
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar, get_type_hints

import tyro
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

from robustcnn.core.plain_data import as_kind, chosen, kind_name, kinds_of, number

T = TypeVar("T")


class Problem(ValueError):
    """A user's mistake, told in one line."""


def parse(kind: type[T], arguments: Sequence[str], *, verb: str, text: str, default: T) -> T:
    """`default` with what the arguments say instead; `--help` prints `text` and every option, then exits."""
    arguments = _with_whole_paths(default, arguments)
    default, arguments, choices = _choose(default, arguments, verb)
    told = io.StringIO()
    try:
        with contextlib.redirect_stderr(told):
            return tyro.cli(
                kind,
                prog=f"robustcnn {verb}",
                description=text + choices,
                args=arguments,
                default=default,
                registry=_fractions(),
                config=(tyro.conf.FlagCreatePairsOff, tyro.conf.AvoidSubcommands),
            )
    except SystemExit as end:
        if not end.code:
            raise
        raise Problem(f"{verb}: {_one_line(told.getvalue())} (robustcnn {verb} --help lists all options)") from None


def _tables(value: Any, path: str = "") -> Iterator[tuple[str, Any, dict[str, type]]]:
    """Path, value and kinds (if there are several) of every dataclass inside a dataclass."""
    hints = get_type_hints(type(value))
    for field in fields(value):
        inner = getattr(value, field.name)
        if is_dataclass(inner):
            here = f"{path}.{field.name}".removeprefix(".")
            yield here, inner, kinds_of(hints[field.name])
            yield from _tables(inner, here)


def _with_whole_paths(default: Any, arguments: Sequence[str]) -> list[str]:
    """--objective.beta for --fit.objective.beta, --freeze for --fit.freeze: the last name will do where it is alone."""
    tails = [(path.rpartition(".")[2], path) for path in _inner_paths(default)]
    counts = Counter([tail for tail, _ in tails] + [field.name for field in fields(default)])
    paths = {tail: path for tail, path in tails if counts[tail] == 1}

    def whole(word: str) -> str:
        tail = re.match(r"--(no-)?([\w-]+)(?=[.=]|$)", word)
        path = paths.get(tail[2].replace("-", "_")) if tail else None
        if tail is None or path is None:
            return word
        *outer, last = path.split(".")
        return f"--{'.'.join([*outer, (tail[1] or '') + last])}{word[tail.end() :]}"

    return [whole(word) for word in arguments]


def _inner_paths(default: Any) -> Iterator[str]:
    """Of the tables inside, and of what is in them."""
    for path, value, _ in _tables(default):
        yield path
        yield from (f"{path}.{field.name}" for field in fields(value) if not is_dataclass(getattr(value, field.name)))


def _choose(default: T, arguments: Sequence[str], verb: str) -> tuple[T, list[str], str]:
    """The default with the kinds that the arguments name, the other arguments, and help on the kinds there are."""
    rest, text = list(arguments), ""
    for path, value, kinds in _tables(default):
        if kinds:
            name, rest = take(rest, f"--{path}")
            kind = type(value) if name is None else chosen(kinds, name, path)
            if kind is not type(value):
                default = _replaced(default, path.split("."), as_kind(kind, value))
            _refuse_other_kinds(path, kind, kinds, rest)
            text += _explained(path, kind, kinds, verb)
    # A kind brings tables of its own, for which the short paths have to be found again.
    return default, _with_whole_paths(default, rest), text


def _replaced(value: Any, names: Sequence[str], inner: Any) -> Any:
    name, *rest = names
    return replace(value, **{name: _replaced(getattr(value, name), rest, inner) if rest else inner})


def _refuse_other_kinds(path: str, kind: type, kinds: dict[str, type], arguments: Sequence[str]) -> None:
    """An option of another kind deserves better than `unrecognized`."""
    options = {name: {field.name for field in fields(each)} for name, each in kinds.items()}
    for word in arguments:
        asked = re.match(rf"--{re.escape(path)}\.([\w-]+)", word)
        option = asked[1].replace("-", "_") if asked else ""
        owners = [name for name in kinds if option in options[name]]
        if owners and (kind_name(kind) not in owners):
            raise Problem(
                f"--{path}.{option} is an option of {', '.join(owners)}, not of {kind_name(kind)} "
                f"(--{path} {owners[0]} chooses)"
            )


def _explained(path: str, kind: type, kinds: dict[str, type], verb: str) -> str:
    tail = path.rpartition(".")[2]
    lines = [f"  {name:<12} {(each.__doc__ or '').splitlines()[0]}" for name, each in kinds.items()]
    return (
        f"\n\n--{path} NAME, or --{tail} NAME, where NAME is one of\n" + "\n".join(lines) + "\n\n"
        f"Below are the options of {kind_name(kind)}; those of another: robustcnn {verb} --{tail} NAME --help. "
        f"A change of {tail} keeps the options that both know. As here, the last part of a path is enough where it is "
        "the only one of that name: --epochs, --optim.lr, --augment.mirror, --threat.eps."
    )


def switches(default: Any) -> Iterator[str]:
    """The options that take no value, by their whole path and by its last part."""
    for path, value in [("", default), *((path, value) for path, value, _ in _tables(default))]:
        for field in fields(value):
            if isinstance(getattr(value, field.name), bool):
                for name in (field.name, f"no_{field.name}"):
                    dashed = name.replace("_", "-")
                    yield f"--{dashed}"
                    yield f"--{path}.{dashed}" if path else f"--{dashed}"


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
