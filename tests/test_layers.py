"""The import rule: a file imports only from lower layers and its own folder; four libraries have one home each."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

HOUSE = Path(__file__).parent.parent / "robustcnn"
LAYERS = {
    0: "threat spec results plain runtime losses files windows channel",
    1: "data models attacks",
    2: "evaluate checkpoint",
    3: "train defences",
    4: "estimator tracking report",
    5: "config runs starting fitting_verbs pretrain_config pretraining "
    "demo sweep victim evaluation comparison webpage showing options cli __main__ __init__ "
    "attacking stopping",
}
LAYER = {room: number for number, rooms in LAYERS.items() for room in rooms.split()}
HOMES = {
    "mlflow": "tracking/mlflow_tracker.py tracking/fetch.py",
    "matplotlib": "report/plots/",
    "seaborn": "report/plots/",
    "foolbox": "attacks/foolbox_adapter.py",
    "eagerpy": "attacks/foolbox_adapter.py",
    "tyro": "options.py",
}
FILES = sorted(HOUSE.rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """Absolute dotted names of all that a file imports, also inside functions."""
    package = ("robustcnn", *path.relative_to(HOUSE).parent.parts)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            prefix = [*package[: len(package) - node.level + 1]] if node.level else []
            module = ".".join([*prefix, *([node.module] if node.module else [])])
            # `from robustcnn import spec` imports the room `spec`; `from robustcnn.data import load` the room `data`.
            yield from (f"{module}.{alias.name}" for alias in node.names) if module == "robustcnn" else (module,)


def room(path: Path) -> str:
    return path.relative_to(HOUSE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(HOUSE)))
def test_imports_point_down(path: Path) -> None:
    here = room(path)
    for name in imports(path):
        top, *rest = name.split(".")
        if top == "robustcnn":
            there = rest[0] if rest and rest[0] in LAYER else "__init__"
            assert there == here or LAYER[there] < LAYER[here] or LAYER[here] == 5, f"{path.name} imports {name}"
        elif top in HOMES:
            assert str(path.relative_to(HOUSE)).startswith(tuple(HOMES[top].split())), f"{top} lives in {HOMES[top]}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(HOUSE)))
def test_no_file_holds_two_ideas(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 300
