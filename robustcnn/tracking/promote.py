"""The most robust of some runs as a registered model: `models:/NAME@champion`, which MLflow loads without us."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from robustcnn.tracking.mlflow_tracker import send_model, settings
from robustcnn.tracking.place import Place, read_place

if TYPE_CHECKING:
    from mlflow import MlflowClient

ALIAS = "champion"
METRIC = "robust_accuracy"


@dataclass(frozen=True, kw_only=True, slots=True)
class Promoted:
    """A version of a registered model."""

    folder: Path
    uri: str
    version: str
    robust_accuracy: float

    def __str__(self) -> str:
        share = f"{100 * self.robust_accuracy:.1f} %"
        return f"{self.folder.name} (robust accuracy {share}) is {self.uri}, version {self.version}"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Candidate:
    folder: Path
    place: Place
    robust_accuracy: float
    asked: tuple[str, ...]
    """The examples that were judged, and in which ball: only equal ones can be compared."""


def promote(folders: Sequence[Path], *, name: str) -> Promoted:
    """Register the export of the most robust run under `name`; a measurement whose verdict is `fail` does not count."""
    from mlflow import MlflowClient

    with settings():
        found = [each for folder in folders if (each := _candidate(folder)) is not None]
        if not found:
            raise ValueError("no run here was evaluated with a verdict other than fail (robustcnn evaluate RUN)")
        if len({each.asked for each in found}) > 1:
            told = "; ".join(f"{each.folder.name}: {', '.join(each.asked)}" for each in found)
            raise ValueError(f"these runs were judged on different examples or balls: {told} (name those to compare)")
        best = max(found, key=lambda each: each.robust_accuracy)
        client = MlflowClient(best.place.tracking_uri)
        version = _register(client, best, name)
    uri = f"models:/{name}@{ALIAS}"
    return Promoted(folder=best.folder, uri=uri, version=version, robust_accuracy=best.robust_accuracy)


def _candidate(folder: Path) -> _Candidate | None:
    from mlflow import MlflowClient

    place = read_place(folder)
    if place is None or not place.run_id:
        return None
    data = MlflowClient(place.tracking_uri).get_run(place.run_id).data
    if METRIC not in data.metrics or data.tags.get("verdict") == "fail":
        return None
    asked = data.tags.get("evaluated.fingerprint", ""), f"eps {data.metrics['eps']:g}"
    return _Candidate(folder=folder, place=place, robust_accuracy=data.metrics[METRIC], asked=asked)


def _register(client: MlflowClient, best: _Candidate, name: str) -> str:
    from mlflow.exceptions import MlflowException

    model = send_model(client, best.folder, best.place)
    try:
        client.create_registered_model(name)
    except MlflowException as problem:
        if problem.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    version = client.create_model_version(
        name,
        model.artifact_location,
        best.place.run_id,
        model_id=model.model_id,
        tags={METRIC: f"{best.robust_accuracy:g}"},
    )
    client.set_registered_model_alias(name, ALIAS, version.version)
    return str(version.version)
