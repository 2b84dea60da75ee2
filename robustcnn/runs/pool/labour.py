"""What a worker does: it unpacks a job once, then makes its pieces, one after the other."""

from __future__ import annotations

import contextlib
import pickle
import platform
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from torch import nn

import robustcnn
from robustcnn.core.results import Finding
from robustcnn.core.runtime import Precision, evaluating, exact_float32, pick_device
from robustcnn.data import ResidentDataset
from robustcnn.data.resident import as_pixels
from robustcnn.evaluate import Evidence, run_checks
from robustcnn.evaluate.judging import Tries
from robustcnn.evaluate.pieces import Job, Piece
from robustcnn.evaluate.plan import fingerprint
from robustcnn.fast.plain_view import plain_view
from robustcnn.runs.find_model import find
from robustcnn.runs.pool.parcels import Parcel, Recipe, Rest

KEPT = 4
"""Jobs that a worker keeps unpacked."""
T = TypeVar("T")


def versions() -> dict[str, str]:
    """What has to be the same everywhere, and what had better be."""
    return {
        "robustcnn": robustcnn.__version__,
        "torch": torch.__version__,
        "python": ".".join(platform.python_version_tuple()[:2]),
    }


def same(parcel: Parcel) -> Parcel:
    """A parcel that is a task of its own is sent to a worker once, and made again where a worker is lost."""
    return parcel


def make(model: Parcel, data: Parcel, rest: Parcel, piece: bytes) -> Tries:
    """One piece, as it would be made by one process."""
    wanted: Piece = pickle.loads(piece)  # noqa: S301  (of our own scheduler, which may run anything here anyway)
    job = _unpacked(model, data, rest)
    with torch.no_grad(), evaluating(job.model), exact_float32():
        return job.make(wanted)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Checking:
    """What the checklist is asked."""

    evidence: Evidence
    """Without its originals, which the data have."""
    seed: int
    precision: Precision


def check(model: Parcel, data: Parcel, rest: Parcel, asked: bytes) -> tuple[tuple[Finding, ...], list[str]]:
    """The checklist's findings, and what it said."""
    wanted: Checking = pickle.loads(asked)  # noqa: S301
    lines: list[str] = []
    job = _unpacked(model, data, rest)
    evidence = replace(wanted.evidence, images=as_pixels(job.data.images).cpu())
    options = {"seed": wanted.seed, "precision": wanted.precision, "evidence": evidence, "say": lines.append}
    return run_checks(job.model, job.data, evidence.threat, **options), lines  # type: ignore[arg-type]


_JOBS: OrderedDict[tuple[str, ...], Job] = OrderedDict()


def _unpacked(model: Parcel, data: Parcel, rest: Parcel) -> Job:
    """The job, unpacked once."""
    names = (model.name, data.name, rest.name)
    if names not in _JOBS:
        _JOBS[names] = _unpack(model, data, rest)
    _JOBS.move_to_end(names)
    while len(_JOBS) > KEPT:
        _JOBS.popitem(last=False)
    return _JOBS[names]


def _unpack(model: Parcel, data: Parcel, rest: Parcel) -> Job:
    small: Rest = pickle.loads(rest.content)  # noqa: S301
    if small.version != robustcnn.__version__:
        raise ValueError(
            f"the worker on {platform.node()} has robustcnn {robustcnn.__version__}, the list was started with "
            f"{small.version} (install the same everywhere)"
        )
    torch.set_num_threads(small.threads)
    device = pick_device(small.device)
    found: nn.Module | Recipe = pickle.loads(model.content)  # noqa: S301
    examples: ResidentDataset = pickle.loads(data.content)  # noqa: S301
    victim = cooked(found) if isinstance(found, Recipe) else found
    return Job(
        model=plain_view(victim.eval().to(device)),
        data=examples.to(device),
        plan=small.plan,
        clean=small.clean,
        batch_size=small.batch_size,
        compiled=small.compiled,
    )


def cooked(recipe: Recipe) -> nn.Module:
    """The model that a name leads to, where the files are that it needs."""
    where = f"{recipe.text} travels by its name, and the worker on {platform.node()}"
    if not recipe.place.is_dir():
        raise ValueError(f"{where} does not see the folder {recipe.place} (share it with all workers)")
    with contextlib.chdir(recipe.place):
        try:
            model = find(recipe.text, recipe.runs, which=recipe.which, source=recipe.source).model
        except (OSError, ValueError) as problem:
            raise ValueError(f"{where} cannot find it there: {problem} (is {recipe.place} shared?)") from None
    if fingerprint(model) != recipe.print:
        raise ValueError(f"{where} finds other weights under it (is {recipe.place} the same folder there?)")
    return model
