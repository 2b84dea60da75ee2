"""Models of our own, by run, folder or MLflow's id; and what a function of the user's returns."""

from __future__ import annotations

import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

from torch import nn

from robustcnn.core.runtime import to_evaluation
from robustcnn.models import checkpoint
from robustcnn.runs.find_model.victim import Victim
from robustcnn.runs.train_config import TRAINING
from robustcnn.tracking import PLACE, SPOOL, fetch_checkpoint, read_place

RUN_ID = re.compile(r"[0-9a-f]{32}")
FUNCTION = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")


def find_ours(text: str, runs: Path, *, which: checkpoint.Which = "best") -> Victim | None:
    """A run by name or MLflow id, a checkpoint folder, runs:/ID, models:/NAME@ALIAS, or package.module:function."""
    if text.startswith(("runs:/", "models:/")):
        return _checkpoint(fetch_checkpoint(text, runs), which)
    if (Path(text) / checkpoint.PAGE).is_file():
        return _checkpoint(Path(text), which)
    if (runs / text / checkpoint.PAGE).is_file():
        return _checkpoint(runs / text, which)
    if RUN_ID.fullmatch(text):
        return _checkpoint(_of_id(text, runs) or fetch_checkpoint(f"runs:/{text}", runs), which)
    if FUNCTION.fullmatch(text):
        return Victim(name=text, model=_made_by(text), folder=runs / text.replace(":", "."))
    return None


def trained_runs(runs: Path) -> list[Path]:
    """The folders of all runs that have a checkpoint, the latest first."""
    pages = sorted(runs.glob(f"*/{checkpoint.PAGE}"), key=lambda page: page.stat().st_mtime, reverse=True)
    return [page.parent for page in pages]


def known_runs(runs: Path) -> list[Path]:
    """The folders of all runs that were started or tracked, the latest first."""
    folders = {path.parent for name in (TRAINING.record, PLACE) for path in runs.glob(f"*/{name}")}
    return sorted(folders, key=lambda folder: folder.stat().st_mtime, reverse=True)


def told_runs(runs: Path) -> list[Path]:
    """The folders of all runs that have something to say to MLflow, the latest first."""
    spools = sorted(runs.glob(f"*/{SPOOL}"), key=lambda spool: spool.stat().st_mtime, reverse=True)
    return [spool.parent for spool in spools]


def _checkpoint(folder: Path, which: checkpoint.Which) -> Victim:
    trained = TRAINING.read_config(folder) if (folder / TRAINING.record).is_file() else None
    return Victim(
        name=folder.resolve().name, model=checkpoint.load(folder, which=which), folder=folder, trained=trained
    )


def _of_id(run_id: str, runs: Path) -> Path | None:
    """The folder of the run that MLflow knows under this id."""
    places = ((folder, read_place(folder)) for folder in trained_runs(runs))
    return next((folder for folder, place in places if place and place.run_id == run_id), None)


def _made_by(text: str) -> nn.Module:
    """What the function returns; this is the user's own code, and the only code that a name leads to."""
    module, _, name = text.partition(":")
    with _working_folder():
        try:
            found: object = import_module(module)
            for part in name.split("."):
                found = getattr(found, part)
        except (ImportError, AttributeError) as problem:
            raise ValueError(f"cannot find {text}: {problem} (write package.module:function)") from None
        # The user's own code: whatever it does, even ending the process, is told with its place.
        except (Exception, SystemExit) as problem:
            raise ValueError(f"{text}: importing {module} ends in {_told(problem)}") from problem
        try:
            model = found() if callable(found) and not isinstance(found, nn.Module) else found
        except (Exception, SystemExit) as problem:
            raise ValueError(f"{text}: calling it ends in {_told(problem)}") from problem
    if not isinstance(model, nn.Module):
        raise ValueError(f"{text} must return a torch.nn.Module, got {type(model).__name__}")
    return to_evaluation(model)


def _told(problem: BaseException) -> str:
    """Kind, words and place of what the user's code ended in."""
    if isinstance(problem, SyntaxError):
        place = f"{problem.filename}, line {problem.lineno}"
    else:
        frames = traceback.extract_tb(problem.__traceback__)
        last = [frame for frame in frames if not frame.filename.startswith("<")][-1]
        place = f"{last.filename}, line {last.lineno}"
    return f"{type(problem).__name__}: {' '.join(str(problem).split())[:300]} ({place})"


@contextmanager
def _working_folder() -> Iterator[None]:
    """Modules beside the user are found too inside the block."""
    sys.path.insert(0, "")
    try:
        yield
    finally:
        sys.path.remove("")
