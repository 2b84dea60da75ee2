"""What went wrong, in one line, and whose trouble it is; the place in the source only for who asks for it."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path

from robustcnn.core.atomic_files import FULL
from robustcnn.core.launch import EndedElsewhere, Parted

FLAG, VARIABLE = "--traceback", "ROBUSTCNN_TRACEBACK"
HOUSE = Path(__file__).parents[1]
USERS, OURS = 2, 1
"""Exit statuses: a user's mistake, a run that failed."""


def asked(arguments: list[str]) -> tuple[list[str], bool]:
    """The arguments without the flag, and whether the place in the source shall be shown."""
    rest = [word for word in arguments if word != FLAG]
    return rest, len(rest) < len(arguments) or os.environ.get(VARIABLE, "0") not in ("", "0")


def told(problem: BaseException, *, traced: bool) -> int:
    """Print the line; gives the exit status."""
    if isinstance(problem, EndedElsewhere):
        return problem.status
    if traced:
        traceback.print_exception(problem)
    status = _status(problem)
    print(f"robustcnn: {_line(problem)}", file=sys.stderr)
    return status


def _status(problem: BaseException) -> int:
    if isinstance(problem, OSError):
        return OURS if problem.errno in FULL else USERS
    return USERS if isinstance(problem, ValueError) and _is_ours(problem) else OURS


def _line(problem: BaseException) -> str:
    said = " ".join(str(problem).split())
    if isinstance(problem, OSError | ArithmeticError | Parted) or (
        isinstance(problem, ValueError) and _is_ours(problem)
    ):
        return said or type(problem).__name__
    return f"{type(problem).__name__}: {said[:500]} ({FLAG}, or {VARIABLE}=1, shows where)"


def _is_ours(problem: BaseException) -> bool:
    """Whether one of our own sentences was raised, not one of a library that was given something odd."""
    frames = list(traceback.walk_tb(problem.__traceback__))
    return not frames or Path(frames[-1][0].f_code.co_filename).is_relative_to(HOUSE)
