"""A run's spool as a run in MLflow; mlflow is imported late, as that takes a second or two.

Uploading is exactly once, although a process may die between an upload and the note of it, because each record can be
uploaded twice without harm: a metric carries the time at which it was said, and MLflow's database keeps one row for
each (run, name, step, time, value); parameters, tags and files are overwritten by themselves, a data set is known by
its digest, the model export and the run itself are looked for before they are made.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from itertools import groupby, islice, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from filelock import FileLock, Timeout

from robustcnn.tracking.note import RUN
from robustcnn.tracking.place import Place, Store, read_place, write_place
from robustcnn.tracking.records import Opening, Record
from robustcnn.tracking.refused import is_refusal, set_aside
from robustcnn.tracking.shown import dataset_input, send_picture, send_table
from robustcnn.tracking.spool import Spool
from robustcnn.tracking.view import set_view

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel

T = TypeVar("T")
LOCK = "tracking.lock"
METRICS_AT_ONCE, WORDS_AT_ONCE = 800, 50
"""MLflow takes 1000 things a request, 100 of them parameters, 100 tags, and a megabyte."""
SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # The spool waits, so a request need not: MLflow's own patience is 2 minutes, seven times over.
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "15",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
}
KEY, NOTE, EXPERIMENT_KIND = "robustcnn.key", "mlflow.note.content", "mlflow.experimentKind"


def sync(folder: Path) -> int:
    """Upload what the run in this folder said since the last time; gives the number of records."""
    spool, place = Spool(folder), read_place(folder)
    if not spool.size:
        raise FileNotFoundError(f"{folder} holds nothing to upload: it has no {spool.path.name}")
    if place is not None and place.run_id and place.sent == spool.size:
        return 0
    with settings(), _alone(folder):
        try:
            return _upload(folder, spool)
        except Exception as problem:  # Of whatever library MLflow stands on here.
            raise ConnectionError(f"{_first(spool).tracking_uri} takes no records: {_cause(problem)}") from problem


def note_trouble(folder: Path, trouble: str) -> None:
    """Write down why the last upload failed, for the run to read."""
    write_place(folder, replace(_place(folder, _first(Spool(folder))), trouble=trouble))


def result_in_run(run_id: str, record: Record, *, text: str) -> Any:
    """The record in a run of MLflow's present store, with a JSON page, as the EvaluationResult that MLflow wants."""
    from mlflow import MlflowClient
    from mlflow.models.evaluation import EvaluationResult

    client = MlflowClient()
    _send_light(client, run_id, [record])
    client.log_text(run_id, text, "robustness.json")
    return EvaluationResult({each.key: each.value for each in record.points}, {}, run_id)


def _upload(folder: Path, spool: Spool) -> int:
    client, place = _connect(folder, _first(spool))
    count = 0
    # What is light goes together, what is heavy goes by itself: its place in the spool is a group of its own.
    for _, group in groupby(spool.read(place.sent), key=lambda pair: pair[1] if _heavy(pair[0]) else 0):
        records, ends = zip(*group, strict=True)
        _send(client, folder, place, records)
        place = replace(place, sent=ends[-1], trouble="")
        write_place(folder, place)
        count += len(records)
    return count


def _send(client: MlflowClient, folder: Path, place: Place, records: Sequence[Record]) -> None:
    """All of them at once; where that is refused, one by one, and what is refused even then is set aside."""
    try:
        for record in records:
            _send_heavy(client, folder, place, record)
        _send_light(client, place.run_id, records)
    except Exception as problem:
        if not is_refusal(problem) or client.get_run(place.run_id).info.lifecycle_stage != "active":
            raise
        if len(records) == 1:
            set_aside(folder, records[0], problem)
        else:
            for record in records:
                _send(client, folder, place, [record])


def _connect(folder: Path, opening: Opening) -> tuple[MlflowClient, Place]:
    """A client, and the run's place in the store, made where it is not there yet."""
    from mlflow import MlflowClient

    place = _place(folder, opening)
    store = Store(uri=place.tracking_uri, artifacts=opening.artifacts)
    with store.first_use():
        client = MlflowClient(store.uri)
        if not place.run_id:
            experiment = _experiment(client, opening)
            set_view(client, experiment)
            place = replace(place, experiment_id=experiment, run_id=_run(client, experiment, opening))
            write_place(folder, place)
    return client, place


def _experiment(client: MlflowClient, opening: Opening) -> str:
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(opening.experiment)
    if found is None:
        try:
            # MLflow opens it among model trainings, not among language models.
            kind = {EXPERIMENT_KIND: "custom_model_development"}
            return str(client.create_experiment(opening.experiment, opening.artifacts or None, kind))
        except MlflowException:
            # Another client of the same server was quicker, or it is real trouble.
            found = client.get_experiment_by_name(opening.experiment)
            if found is None:
                raise
    return str(found.experiment_id)


def _run(client: MlflowClient, experiment: str, opening: Opening) -> str:
    """The run's id; a process that died before it noted the id had made the run already."""
    found = client.search_runs([experiment], filter_string=f"tags.`{KEY}` = '{opening.key}'", max_results=1)
    if found:
        return str(found[0].info.run_id)
    return str(client.create_run(experiment, opening.started, {KEY: opening.key}, opening.name).info.run_id)


def _heavy(record: Record) -> bool:
    return bool(record.file or record.status) or record.what == "model"


def _words(record: Record, run_id: str) -> dict[str, str]:
    """The record's tags; a description that shows the run's own pictures needs its id."""
    return {key: value.replace(RUN, run_id) if key == NOTE else value for key, value in record.tags.items()}


def _send_light(client: MlflowClient, run_id: str, records: Sequence[Record]) -> None:
    from mlflow.entities import Metric, Param, RunTag

    metrics = [Metric(each.key, each.value, record.time, each.step) for record in records for each in record.points]
    params = [Param(*item) for record in records for item in record.params.items()]
    # The last word on a tag stands, which one request could not tell.
    words = {key: value for record in records for key, value in _words(record, run_id).items()}
    tags = [RunTag(*item) for item in words.items()]
    parts = _parts(metrics, METRICS_AT_ONCE), _parts(params, WORDS_AT_ONCE), _parts(tags, WORDS_AT_ONCE)
    for metrics_part, params_part, tags_part in zip_longest(*parts, fillvalue=()):
        client.log_batch(run_id, metrics_part, params_part, tags_part)
    for data in [record.data for record in records if record.data]:
        client.log_inputs(run_id, [dataset_input(data)])


def _parts(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _send_heavy(client: MlflowClient, folder: Path, place: Place, record: Record) -> None:
    path = folder / record.file
    if record.what == "model":
        send_model(client, folder, place)
    elif record.status == "RUNNING":
        client.update_run(place.run_id, record.status)
    elif record.status:
        client.set_terminated(place.run_id, record.status, record.time)
    elif record.shown and path.exists():
        send_picture(client, place.run_id, folder, record)
    elif record.what == "table" and path.exists():
        send_table(client, place.run_id, folder, record)
    elif record.file and path.is_dir():
        client.log_artifacts(place.run_id, str(path), record.under)
    elif record.file and path.exists():
        client.log_artifact(place.run_id, str(path), record.under)
    elif record.file:
        print(f"passed over {path}: a newer file has taken its place", file=sys.stderr)  # noqa: T201


def send_model(client: MlflowClient, folder: Path, place: Place) -> LoggedModel:
    """An export of the best weights, in a model of MLflow's own that is made once and filled as often as need be."""
    from mlflow.entities import LoggedModelOutput

    mine = f"source_run_id = '{place.run_id}'"
    found = client.search_logged_models([place.experiment_id], filter_string=mine)
    model = found[0] if found else client.create_logged_model(place.experiment_id, "model", place.run_id)
    with tempfile.TemporaryDirectory() as parent:
        exported = Path(parent) / "model"
        # MLflow's own imports and torch's exporter warn of what is theirs to mend.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _export(folder, exported)
        client.log_model_artifacts(model.model_id, str(exported))
    client.finalize_logged_model(model.model_id, "READY")
    # The one thing that MLflow refuses to be told twice.
    told = client.get_run(place.run_id).outputs.model_outputs
    if model.model_id not in [each.model_id for each in told]:
        client.log_outputs(place.run_id, [LoggedModelOutput(model.model_id, 0)])
    return model


def _export(folder: Path, target: Path) -> None:
    """A traced graph (pt2) that needs torch and nothing of ours."""
    import mlflow.pytorch
    import numpy
    from mlflow.models.signature import ModelSignature
    from mlflow.types import Schema, TensorSpec

    from robustcnn.models.checkpoint import load

    model = load(folder)
    float32, shape = numpy.dtype("float32"), model.spec.shape
    inputs, outputs = TensorSpec(float32, (-1, *shape)), TensorSpec(float32, (-1, model.spec.num_classes))
    mlflow.pytorch.save_model(
        model,
        target,
        signature=ModelSignature(Schema([inputs]), Schema([outputs])),
        # Two examples, for the exporter takes a size of one for a constant.
        input_example=numpy.zeros((2, *shape), float32),
        # Else MLflow infers them, which takes seconds.
        pip_requirements=[f"torch=={version('torch')}"],
        serialization_format="pt2",
    )


def _cause(problem: BaseException) -> str:
    """What lies at the bottom of it, in one line."""
    while below := problem.__cause__ or problem.__context__:
        problem = below
    return f"{type(problem).__name__}: {' '.join(str(problem).split())}"


def _first(spool: Spool) -> Opening:
    for record, _ in islice(spool.read(), 1):
        if record.opening:
            return record.opening
    raise ValueError(f"{spool.path} does not begin with where the run is to be shown (was its first line edited?)")


def _place(folder: Path, opening: Opening) -> Place:
    return read_place(folder) or Place(tracking_uri=opening.tracking_uri, experiment=opening.experiment)


@contextmanager
def settings() -> Iterator[None]:
    """Quiet and quick inside the block, unless the user has said otherwise; the environment as it was after it."""
    ours = {key: value for key, value in SETTINGS.items() if key not in os.environ}
    os.environ.update(ours)
    # It prints a database's trouble in ninety lines, and raises it too.
    database = logging.getLogger("mlflow.store.db.utils")
    level = database.level
    database.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        database.setLevel(level)
        for key in ours:
            os.environ.pop(key, None)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Only one process uploads a spool at a time."""
    try:
        with FileLock(folder / LOCK, timeout=60):
            yield
    except Timeout:
        raise TimeoutError(f"another process has been uploading {folder} for a minute: let it finish") from None
