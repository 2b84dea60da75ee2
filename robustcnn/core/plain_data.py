"""Frozen values as plain data (what JSON and TOML can hold) and back, every key and type checked."""

from __future__ import annotations

import difflib
import reprlib
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The nearest known word, if any is near, and all of them."""
    known = list(known)
    close = difflib.get_close_matches(word, known, n=1)
    return (f" (did you mean {close[0]!r}?)" if close else "") + f"; known: {', '.join(known)}"


def shown(value: Any) -> str:
    """A value as it stands in an error: cut short, however long or deep it is."""
    return _SHORT.repr(value)


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 80


def to_plain(value: Any) -> Any:
    """Nested dataclasses as dictionaries, tuples as lists, paths as strings.

    One of several kinds, told apart by a class variable `name`, has that as its first entry.
    """
    if is_dataclass(value):
        plain = {field.name: to_plain(getattr(value, field.name)) for field in fields(value)}
        name = kind_name(type(value))
        return {"name": name, **plain} if name else plain
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def kind_name(kind: Any) -> str | None:
    """The name of a dataclass that is one of several kinds."""
    name = getattr(kind, "name", None)
    return name if is_dataclass(kind) and isinstance(name, str) else None


def kinds_of(hint: Any) -> dict[str, type]:
    """The kinds that a union of named dataclasses offers; empty for any other type."""
    if get_origin(hint) not in (Union, types.UnionType):
        return {}
    return {name: kind for kind in get_args(hint) if (name := kind_name(kind))}


def as_kind(kind: type[T], value: Any) -> T:
    """A value of another kind, which keeps the fields that `value` has too."""
    kept = {field.name for field in fields(kind) if hasattr(value, field.name)}  # type: ignore[arg-type]
    return kind(**{name: getattr(value, name) for name in kept})


def chosen(kinds: Mapping[str, type[T]], name: object, path: str) -> type[T]:
    """The kind of this name."""
    if not isinstance(name, str) or name not in kinds:
        raise ValueError(f"unknown {path} {shown(name)}{did_you_mean(str(name), kinds)}")
    return kinds[name]


def number(text: str) -> float:
    """`0.03`, `3e-2` or a fraction such as `8/255`."""
    upper, slash, lower = text.partition("/")
    try:
        return float(upper) / float(lower) if slash else float(upper)
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"not a number: {shown(text)} (write 0.03, 3e-2 or 8/255)") from None


def from_plain(kind: type[T], plain: Any, *, where: str = "", base: T | None = None) -> T:
    """The value of type `kind` that `plain` describes; keys it leaves out keep `base`'s values or the defaults."""
    if not isinstance(plain, Mapping):
        raise ValueError(f"{where or kind.__name__} must be a table of {kind.__name__}'s fields, got {shown(plain)}")
    hints = get_type_hints(kind)
    known = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    changes = {}
    for key, item in plain.items():
        path = f"{where}.{key}" if where else key
        if key not in known:
            raise ValueError(f"unknown key {shown(path)}{did_you_mean(key, known)}")
        changes[key] = _convert(hints[key], item, path, getattr(base, key, None))
    kept = {} if base is None else {name: getattr(base, name) for name in known}
    if missing := [name for name in _needed(kind) if name not in kept | changes]:
        raise ValueError(f"{where or kind.__name__} lacks {', '.join(missing)}")
    return kind(**(kept | changes))


def as_annotated(function: Callable[..., Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a function, each of the kind that its signature says; numpy's numbers are numbers."""
    hints = get_type_hints(function)
    plain = {name: value.item() if hasattr(value, "item") else value for name, value in given.items()}
    return {name: _convert(hints[name], value, name, None) for name, value in plain.items()}


def _needed(kind: Any) -> list[str]:
    """The fields that have no default."""
    return [field.name for field in fields(kind) if field.default is MISSING and field.default_factory is MISSING]


def _convert(hint: Any, item: Any, path: str, base: Any) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if is_dataclass(hint):
        return from_plain(hint, item, where=path, base=base)  # type: ignore[arg-type]
    if origin is Literal:
        if item not in arguments:
            raise ValueError(f"{path} must be one of {', '.join(map(str, arguments))}, got {shown(item)}")
        return item
    if origin in (Union, types.UnionType):
        return _convert_union(arguments, item, path, base)
    if origin is dict and isinstance(item, dict):
        return item
    if origin is tuple and isinstance(item, list | tuple):
        kinds = arguments if len(arguments) == len(item) and ... not in arguments else [arguments[0]] * len(item)
        return tuple(_convert(kind, each, path, None) for kind, each in zip(kinds, item, strict=True))
    return _convert_simple(hint, item, path)


def _convert_union(arguments: tuple[Any, ...], item: Any, path: str, base: Any) -> Any:
    if item is None and type(None) in arguments:
        return None
    if kinds := kinds_of(Union[arguments]):  # noqa: UP007
        return _convert_kind(kinds, item, path, base)
    problems = []
    for argument in arguments:
        try:
            return _convert(argument, item, path, base)
        except ValueError as problem:
            problems.append(problem)
    raise problems[0]


def _convert_kind(kinds: dict[str, type], item: Any, path: str, base: Any) -> Any:
    """Of the kind that is named, else of the base's; the name alone will do."""
    plain = {"name": item} if isinstance(item, str) else item
    if not isinstance(plain, Mapping):
        raise ValueError(f"{path} must be a name or a table with one ({', '.join(kinds)}), got {shown(item)}")
    name = plain.get("name", kind_name(type(base)) or next(iter(kinds)))
    kind: type[Any] = chosen(kinds, name, path)
    rest = {key: value for key, value in plain.items() if key != "name"}
    return from_plain(kind, rest, where=path, base=as_kind(kind, base))


def _convert_simple(hint: Any, item: Any, path: str) -> Any:
    if hint is float and isinstance(item, str):
        try:
            return number(item)
        except ValueError as problem:
            raise ValueError(f"{path}: {problem}") from None
    if hint is float and isinstance(item, int) and not isinstance(item, bool):
        try:
            return float(item)
        except OverflowError:
            raise ValueError(f"{path} is too large a number, got {shown(item)}") from None
    if hint is Path and isinstance(item, str):
        return Path(item)
    if isinstance(hint, type) and type(item) is hint:
        return item
    raise ValueError(f"{path} must be {getattr(hint, '__name__', hint)}, got {shown(item)}")
