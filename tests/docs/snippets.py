"""What the documentation tells its readers to type: Python blocks page by page, and commands."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^(?:    )?(robustcnn(?: .*)?)$", re.MULTILINE)


def python_of(page: Path) -> list[str]:
    """The page's Python blocks, which share their names from top to bottom."""
    return [text for kind, text in FENCE.findall(page.read_text()) if kind == "python"]


def commands_of(page: Path) -> list[list[str]]:
    """The words of every robustcnn command, without comments; columns that explain stand two blanks away."""
    text = page.read_text()
    blocks = [block for kind, block in FENCE.findall(text) if kind in ("sh", "bash")]
    indented = [line for line in FENCE.sub("", text).splitlines() if line.startswith("    robustcnn ")]
    lines = [line for part in (*blocks, "\n".join(indented)) for line in COMMAND.findall(part)]
    told = [re.split(r" {2,}|\s#\s| > ", line)[0] for line in lines]
    return [shlex.split(line)[1:] for line in told]


def place(page: Path) -> str:
    """How the page is called in a test's name."""
    return page.relative_to(ROOT).as_posix()
