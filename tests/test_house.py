"""The house as it stands on disk: README's tree is true, and no file holds two ideas."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HOUSE = ROOT / "robustcnn"


def test_the_tree_in_the_readme_names_the_rooms_that_there_are() -> None:
    tree = re.search(r"^    robustcnn/\n((?:      .*\n)+)", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert tree is not None
    named = {line.split()[0].rstrip("/") for line in tree[1].splitlines()}
    rooms = {path.name for path in HOUSE.iterdir() if not path.name.startswith("__") and path.suffix in ("", ".py")}
    assert named == rooms


@pytest.mark.parametrize("path", sorted(HOUSE.rglob("*.py")), ids=lambda path: str(path.relative_to(HOUSE)))
def test_no_file_holds_two_ideas(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 300
