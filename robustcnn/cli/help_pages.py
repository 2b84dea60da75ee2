"""Each verb's help, kept as text beside this file: to make it takes torch, and seconds; to show it shall take none.

`make format` writes the pages anew; a test holds them against the configs.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from unittest import mock

from robustcnn.cli.colour import bold

FOLDER = Path(__file__).with_name("help")
WIDTH = 80
"""Characters a line."""
OPTION = re.compile(r"(?<=^  )(-h, )?--[\w.-]+", re.MULTILINE)


def kept(verb: str) -> str | None:
    """The page, its options in bold on a terminal; nothing where there is none, or the terminal is narrower."""
    path = FOLDER / f"{verb}.txt"
    if not path.is_file() or shutil.get_terminal_size().columns < WIDTH:
        return None
    return OPTION.sub(lambda found: bold(found[0]), path.read_text(encoding="utf-8").rstrip("\n"))


def made(run: Callable[[list[str]], None]) -> str:
    """The page of a verb as its config says it today."""
    told = io.StringIO()
    with (
        mock.patch.dict(os.environ, {"COLUMNS": str(WIDTH), "NO_COLOR": "1"}),
        contextlib.redirect_stdout(told),
        contextlib.suppress(SystemExit),
    ):
        run(["--help"])
    return "".join(f"{line.rstrip()}\n" for line in told.getvalue().splitlines())
