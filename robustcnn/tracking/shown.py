"""What MLflow's pages show of a run besides numbers: pictures side by side, tables with pictures, data sets.

Each may be uploaded twice without harm: what is there already is found by its name and time.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from robustcnn.tracking.records import Data, Record

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput


def send_picture(client: MlflowClient, run_id: str, folder: Path, record: Record) -> None:
    """Into MLflow's image grid, with its key, step and time."""
    from PIL import Image

    shown = record.shown
    if shown is None:
        return
    # MLflow's separator differs between versions; words and time do not.
    mine = re.compile(rf"images/{re.escape(shown.key)}\W+step\W+{shown.step}\W+timestamp\W+{record.time}\W")
    if any(mine.match(each.path) for each in client.list_artifacts(run_id, "images")):
        return
    with Image.open(folder / record.file) as image:
        client.log_image(
            run_id, image.convert("RGB"), key=shown.key, step=shown.step, timestamp=record.time, synchronous=True
        )


def send_table(client: MlflowClient, run_id: str, folder: Path, record: Record) -> None:
    """As a table that MLflow shows, pictures in its cells."""
    from PIL import Image

    if any(each.path == record.under for each in client.list_artifacts(run_id, record.under.rpartition("/")[0])):
        return
    path = folder / record.file
    columns: dict[str, list[object]] = json.loads(path.read_text())
    for name, cells in columns.items():
        if all(isinstance(cell, str) and cell.endswith(".png") for cell in cells):
            columns[name] = [Image.open(path.parent / str(cell)).convert("RGB") for cell in cells]
    client.log_table(run_id, columns, record.under)


def dataset_input(data: Data) -> DatasetInput:
    """The data set with its use, schema and source."""
    from mlflow.entities import Dataset as Entity
    from mlflow.entities import DatasetInput, InputTag

    source = json.dumps({"uri": data.source})
    entity = Entity(data.name, data.digest, "local", source, schema=data.schema or None, profile=data.profile)
    return DatasetInput(entity, [InputTag("mlflow.data.context", data.context)])
