"""Notebooks are kept as text beside them, and without outputs; running them is pytest's nbmake's work."""

from __future__ import annotations

from pathlib import Path

import jupytext
import pytest

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def test_every_text_has_its_notebook() -> None:
    assert {path.stem for path in FOLDER.glob("[0-9]*.py")} == {path.stem for path in NOTEBOOKS} != set()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_its_text_without_outputs(path: Path) -> None:
    notebook, text = jupytext.read(path), jupytext.read(path.with_suffix(".py"))
    kept = [(cell.cell_type, cell.source) for cell in notebook.cells]
    assert kept == [(cell.cell_type, cell.source) for cell in text.cells], "run `make format`"
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in notebook.cells)
