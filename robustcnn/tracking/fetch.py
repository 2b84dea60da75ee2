"""A checkpoint that MLflow holds, brought here: safetensors and JSON, never a pickled model."""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from robustcnn.tracking.mlflow_tracker import settings
from robustcnn.tracking.place import CHECKPOINT, Place, Store, read_place, write_place

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run


def fetch_checkpoint(uri: str, runs: Path) -> Path:
    """The folder, below `runs`, of the run that `runs:/ID` or `models:/NAME@ALIAS` stands for."""
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    store = Store.of(runs)
    with settings(), store.first_use():
        client = MlflowClient(store.uri)
        try:
            run = client.get_run(_run_id(client, uri))
        except MlflowException as problem:
            raise FileNotFoundError(f"{store.uri} knows no {uri}: {problem.message}") from None
        return _here(run.info.run_id, runs) or _download(client, run, store, runs)


def _run_id(client: MlflowClient, uri: str) -> str:
    kind, _, rest = uri.partition(":/")
    rest = rest.strip("/")
    if kind == "runs":
        return rest.partition("/")[0]
    if rest.startswith("m-"):
        return str(client.get_logged_model(rest).source_run_id)
    name, at, alias = rest.partition("@")
    if at:
        version = client.get_model_version_by_alias(name, alias)
    elif "/" in rest:
        version = client.get_model_version(*rest.rsplit("/", 1))
    else:
        raise ValueError(f"model {uri!r} needs a version or an alias: models:/NAME/3 or models:/NAME@champion")
    return str(version.run_id or client.get_logged_model(version.model_id).source_run_id)


def _here(run_id: str, runs: Path) -> Path | None:
    """The run's own folder, when it was trained, or brought, here."""
    places = ((path.parent, read_place(path.parent)) for path in runs.glob("*/mlflow.json"))
    return next((folder for folder, place in places if place and place.run_id == run_id), None)


def _plain(name: str) -> str:
    """What of a server's word can be a part of a folder's name."""
    return re.sub(r"[^\w.-]+", "-", name).strip(".-")[:100] or "run"


def _download(client: MlflowClient, run: Run, store: Store, runs: Path) -> Path:
    folder = runs / f"{_plain(run.info.run_name or 'run')}-{_plain(run.info.run_id[:8])}"
    if folder.exists():
        raise FileExistsError(f"{folder} is there already and is not run {run.info.run_id} (rename or remove it)")
    if not client.list_artifacts(run.info.run_id, CHECKPOINT):
        raise FileNotFoundError(f"run {run.info.run_id} of {store.uri} holds no checkpoint of ours")
    runs.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=runs) as parent:
        shutil.move(client.download_artifacts(run.info.run_id, CHECKPOINT, parent), folder)
    experiment = client.get_experiment(run.info.experiment_id)
    place = Place(
        tracking_uri=store.uri,
        experiment=experiment.name,
        experiment_id=run.info.experiment_id,
        run_id=run.info.run_id,
    )
    # What is said of it from here on goes to the run it came from.
    write_place(folder, place)
    return folder
