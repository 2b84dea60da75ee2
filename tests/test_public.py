"""What `from robustcnn import ...` offers."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import robustcnn

ROOT = Path(__file__).parents[1]
PUBLIC = {
    "robustcnn",
    *(
        f"robustcnn.{room}"
        for room in ("attacks", "certify", "channel", "data", "defences", "evaluate", "models", "report")
    ),
    *(f"robustcnn.{room}" for room in ("report.plots", "runs", "runs.attack_pictures", "train")),
}
"""Where a reader of notebooks may look for names; all else is how they are made."""


def test_every_public_name_is_there_and_there_are_few() -> None:
    assert all(getattr(robustcnn, name) is not None for name in robustcnn.__all__)
    assert len(robustcnn.__all__) == len(set(robustcnn.__all__)) <= 20


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Attak'"):
        _ = robustcnn.Attak


def test_robustcnn_itself_and_its_command_wait_for_neither_torch_nor_mlflow() -> None:
    heavy = "[name for name in ('torch', 'mlflow', 'matplotlib') if name in sys.modules]"
    command = [sys.executable, "-c", f"import sys, robustcnn, robustcnn.cli.main; print({heavy})"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "[]\n"


def offered(room: str) -> set[str]:
    """The names that a public room re-exports, and the public rooms in it."""
    source = ast.parse(Path(import_module(room).__file__ or "").read_text())
    imports = [node for node in ast.walk(source) if isinstance(node, ast.ImportFrom)]
    below = {name.removeprefix(f"{room}.") for name in PUBLIC if name.startswith(f"{room}.")}
    return below | {alias.asname or alias.name for node in imports for alias in node.names}


@pytest.mark.parametrize("text", sorted((ROOT / "notebooks").glob("[0-9]*.py")), ids=lambda path: path.stem)
def test_a_notebook_imports_public_names_only(text: Path) -> None:
    imports = [node for node in ast.walk(ast.parse(text.read_text())) if isinstance(node, ast.ImportFrom)]
    ours = [node for node in imports if (node.module or "").partition(".")[0] == "robustcnn"]
    assert {node.module for node in ours} <= PUBLIC
    assert [alias.name for node in ours for alias in node.names if alias.name not in offered(node.module or "")] == []
