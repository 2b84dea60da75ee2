"""MLflow's web page on the runs, and links to what is worth seeing there."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from robustcnn.core.folders import RUNS
from robustcnn.core.labels import labels
from robustcnn.runs.find_model import known_runs, told_runs
from robustcnn.runs.folder import Say
from robustcnn.tracking import REFUSED, Links, Place, Spool, Store, promote, read_place, refused, serve, sync

SHOWN = 8
"""Latest runs in the overlaid curves, when none are named."""
CURVES = ("curve/worst_linf", "fit/valid_accuracy")


@dataclass(frozen=True, kw_only=True, slots=True)
class UiVerb:
    """Options of `robustcnn ui`."""

    runs: Path = RUNS
    """Folder that holds the runs, one folder each."""
    port: int | None = None
    """Of the page; the first free one from 5000 on when not given."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SyncVerb:
    """Options of `robustcnn sync`."""

    runs: Path = RUNS
    """Folder that holds the runs, one folder each."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PromoteVerb:
    """Options of `robustcnn promote`."""

    runs: Path = RUNS
    """Folder that holds the runs, one folder each."""
    name: str = "robustcnn"
    """Of the registered model."""


def forever() -> None:
    """Until Ctrl-C."""
    threading.Event().wait()


def ui(names: Sequence[str], options: UiVerb, *, say: Say, wait: Callable[[], None] = forever) -> None:
    """Serve the page and say where to look, for as long as `wait` does."""
    places = dict(_places([options.runs / name for name in names] or known_runs(options.runs)[:SHOWN]))
    say("starting MLflow's server (about five seconds) ...")
    with serve(Store.of(options.runs), port=options.port) as address:
        say(f"MLflow is at {address}; Ctrl-C ends it")
        for line in _links(address, places, options.runs):
            say(line)
        wait()


def sync_runs(names: Sequence[str], options: SyncVerb, *, say: Say) -> None:
    """Upload what the tracker has not been told yet, of these runs or of all."""
    troubled = []
    for folder in [options.runs / name for name in names] or told_runs(options.runs):
        try:
            say(_synced(folder))
        except (OSError, ValueError) as problem:
            if names:
                raise
            troubled.append(folder.name)
            say(f"{folder.name}: {' '.join(str(problem).split())}")
    if troubled:
        raise ConnectionError(f"{len(troubled)} runs are not uploaded yet: {', '.join(troubled)} (sync again)")


def _synced(folder: Path) -> str:
    count = sync(folder)
    place, left = read_place(folder), len(refused(folder))
    said = f"{folder.name}: {count} records uploaded to {place.tracking_uri if place else 'the tracker'}"
    return said + (f"; {left} that it refuses are kept in {folder / REFUSED}" if left else "")


def promote_run(names: Sequence[str], options: PromoteVerb, *, say: Say) -> None:
    """Register the most robust of these runs, or of all."""
    say("exporting and registering the most robust (some seconds) ...")
    promoted = promote([options.runs / name for name in names] or known_runs(options.runs), name=options.name)
    say(f"{promoted}\nanywhere: mlflow.pyfunc.load_model({promoted.uri!r}).predict(pixels)")


def _places(folders: Sequence[Path]) -> Iterator[tuple[str, Place]]:
    for folder in folders:
        place = read_place(folder)
        if place and place.run_id:
            yield folder.name, place


def _links(address: str, places: dict[str, Place], runs: Path) -> Iterator[str]:
    if not places:
        yield "no run has been tracked yet: robustcnn train, then robustcnn evaluate RUN"
        return
    experiment = next(iter(places.values())).experiment_id
    here = {name: place.run_id for name, place in places.items() if place.experiment_id == experiment}
    links = Links(base=address, experiment=experiment, runs=list(here.values()))
    yield f"  all runs, most robust first  {links.table}"
    yield f"  all runs as charts           {links.table}&compareRunsMode=CHART"
    yield f"  {', '.join(labels(list(places)))}:"
    yield f"    as charts                  {links.charts}"
    yield f"    side by side               {links.comparison}"
    for curve in CURVES:
        # A run without the curve would be a plot's empty line.
        having = [run for name, run in here.items() if Spool(runs / name).names(curve)]
        if having:
            yield f"    {curve:<26} {replace(links, runs=having).curves(curve)}"
