"""Scripts in processes of their own that need not import torch again: a server has, and forks them off."""

from __future__ import annotations

import atexit
import os
import runpy
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

SERVER = get_context("forkserver")
# Libraries only: which checkout is tested is for the script's own process to find out.
SERVER.set_forkserver_preload(["torch", "torchvision", "matplotlib.pyplot"])


@dataclass(frozen=True, slots=True)
class Done:
    """How a script ended and what it said."""

    status: int | None
    stdout: str
    stderr: str


def run_script(
    script: Path, *arguments: str, folder: Path, env: Mapping[str, str] = os.environ, seconds: float = 500
) -> Done:
    """As `python SCRIPT ARGUMENTS` in this folder, stopped after so many seconds."""
    told = folder / f"{script.stem}.out", folder / f"{script.stem}.err"
    process = SERVER.Process(target=_main, args=(script, arguments, folder, dict(env), told))
    process.start()
    process.join(seconds)
    process.kill()
    process.join()
    return Done(process.exitcode, *(path.read_text() for path in told))


def _main(
    script: Path, arguments: Sequence[str], folder: Path, env: Mapping[str, str], told: tuple[Path, Path]
) -> None:
    import torch

    for stream, path in enumerate(told, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
    os.environ.clear()
    os.environ.update(env)
    os.chdir(folder)
    torch.set_num_threads(1)
    sys.argv = [str(script), *arguments]
    sys.path.insert(0, str(script.parent))
    try:
        runpy.run_path(str(script), run_name="__main__")
    finally:
        # A forked process leaves them out.
        atexit._run_exitfuncs()
