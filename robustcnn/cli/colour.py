"""Colour for verdicts and headings, on a terminal only; `NO_COLOR` switches it off (no-color.org)."""

from __future__ import annotations

import os
import re
import sys

CODES = {"bold": 1, "pass": 32, "warn": 33, "fail": 31}
VERDICT = re.compile(r"(?<![\w-])(pass|warn|fail)(?![\w-])")


def coloured(line: str) -> str:
    """The line with its verdicts in green, yellow and red."""
    return VERDICT.sub(lambda found: _paint(found[1], found[1]), line) if _on_a_terminal() else line


def bold(text: str) -> str:
    """Heavier, where that can be."""
    return _paint(text, "bold") if _on_a_terminal() else text


def _on_a_terminal() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _paint(text: str, how: str) -> str:
    return f"\033[{CODES[how]}m{text}\033[0m"
