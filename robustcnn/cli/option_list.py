"""Every option of every verb, read off the configs: for the shell's completion and for the documentation."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from importlib import import_module
from pathlib import PurePath
from typing import Any, get_type_hints

from robustcnn.core.plain_data import kinds_of

CONFIGS = {
    "demo": "robustcnn.runs.demo:DemoVerb",
    "train": "robustcnn.runs.train_config:TrainConfig",
    "pretrain": "robustcnn.runs.pretrain_config:PretrainConfig",
    "evaluate": "robustcnn.runs.evaluate_config:EvaluateConfig",
    "attack": "robustcnn.runs.attack_pictures.attack_config:AttackVerb",
    "sweep": "robustcnn.runs.sweep:SweepConfig",
    "compare": "robustcnn.runs.compare:CompareVerb",
    "ui": "robustcnn.cli.mlflow_page:UiVerb",
    "promote": "robustcnn.cli.mlflow_page:PromoteVerb",
    "sync": "robustcnn.cli.mlflow_page:SyncVerb",
    "data": "robustcnn.cli.look:DataVerb",
    "describe": "robustcnn.cli.look:DescribeVerb",
}
"""Verbs that take options, and the config of each."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Option:
    """One option of a verb."""

    flag: str
    default: str
    says: str
    kind: str = ""
    """Which choice has it, where a part of the config is a choice: `--fit.objective trades`."""


def options_of(verb: str) -> list[Option]:
    """In the order of the config; those of a choice after the choice itself."""
    module, _, name = CONFIGS[verb].partition(":")
    return list(_options(getattr(import_module(module), name)()))


def _options(value: Any, path: str = "", kind: str = "") -> Iterator[Option]:
    said, hints = _docstrings(type(value)), get_type_hints(type(value))
    for field in fields(value):
        inner, name = getattr(value, field.name), f"{path}{field.name}"
        kinds = kinds_of(hints[field.name])
        if kinds:
            chosen = next(key for key, each in kinds.items() if each is type(inner))
            yield Option(flag=_flag(name), default=chosen, says=f"One of {', '.join(kinds)}.", kind=kind)
            for key, each in kinds.items():
                yield from _options(inner if each is type(inner) else each(), f"{name}.", key)
        elif is_dataclass(inner):
            yield from _options(inner, f"{name}.", kind)
        else:
            yield Option(flag=_flag(name), default=_shown(inner), says=said.get(field.name, ""), kind=kind)


def _flag(path: str) -> str:
    return f"--{path.replace('_', '-')}"


def _shown(value: object) -> str:
    """As one would type it."""
    if value in (None, "", ()):
        return ""
    if isinstance(value, PurePath):
        return value.as_posix()
    return " ".join(map(_shown, value)) if isinstance(value, tuple) else str(value)


def _docstrings(config: type) -> dict[str, str]:
    """The string under each field, inherited ones too."""
    found: dict[str, str] = {}
    for each in reversed(config.__mro__[:-1]):
        (tree,) = ast.parse(textwrap.dedent(inspect.getsource(each))).body
        if isinstance(tree, ast.ClassDef):
            found |= _under_fields(tree)
    return found


def _under_fields(tree: ast.ClassDef) -> dict[str, str]:
    pairs = zip(tree.body, tree.body[1:], strict=False)
    return {
        first.target.id: " ".join(str(second.value.value).split())
        for first, second in pairs
        if isinstance(first, ast.AnnAssign)
        and isinstance(first.target, ast.Name)
        and isinstance(second, ast.Expr)
        and isinstance(second.value, ast.Constant)
    }
