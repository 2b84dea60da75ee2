"""The tracker of a real run: its words become records, which go to the spool on disk and from there to MLflow."""

from __future__ import annotations

import json
import math
import uuid
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robustcnn.core.labels import short
from robustcnn.core.results import EpochMetrics, RobustnessReport
from robustcnn.tracking.names import (
    Ball,
    epoch_points,
    flat,
    headline_points,
    report_points,
    report_tags,
    safe,
    strength,
    tag_texts,
)
from robustcnn.tracking.origin import COMMIT, origin
from robustcnn.tracking.outbox import Outbox, Say
from robustcnn.tracking.place import CHECKPOINT, PLACE, Store
from robustcnn.tracking.records import Data, Opening, Point, Record, Shown
from robustcnn.tracking.spool import Spool
from robustcnn.tracking.tracker import Status, Tracker

if TYPE_CHECKING:
    from robustcnn.data.resident import ResidentDataset
    from robustcnn.train.gan.metrics import GanMetrics

EXPERIMENT = "robustcnn"
STRENGTH = "mlflow.robustcnn.strength"
"""How far the evaluation went that the headline is of; MLflow's pages show no tag of this beginning."""
NOTE = "mlflow.note.content"
FINGERPRINT = "evaluated.fingerprint"
IN_A_BALL = (
    "robust/linf_",
    "robust/l2_",
    "robust/l1_",
    "interval/robust_linf",
    "interval/robust_l2",
    "interval/robust_l1",
)
"""Of a ball's robust accuracy only the lowest stands, whoever found it."""


class SpooledTracker(Tracker):
    """Listens to the run in this folder, whether it is new or told of before: a later evaluation adds to the same run.

    Trouble with disk or server is said once, in one line, and never stops the run.
    """

    def __init__(
        self, folder: Path, *, experiment: str = EXPERIMENT, group: str = "", say: Say = warnings.warn
    ) -> None:
        self.folder = folder.resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        before = [record for record, _ in Spool(self.folder).read()]
        self._params = {key: value for record in before for key, value in record.params.items()}
        self._epochs = {record.points[0].step for record in before if record.what == "epoch"}
        self._reports = sum(record.what == "report" for record in before)
        self._strongest: list[float] = max(
            (json.loads(r.tags[STRENGTH]) for r in before if STRENGTH in r.tags), default=[]
        )
        self._told: dict[tuple[str, str], float] = {}
        for record in before:
            self._note_lowest(record.tags.get(FINGERPRINT, ""), record.points if record.what == "report" else ())
        known = any(record.opening for record in before)
        self._outbox = Outbox(self.folder, say=say)
        opening = None if known else _opening(self.folder, experiment)
        about = {} if known else origin() | {"folder": self.folder.name} | ({"group": group} if group else {})
        self._put(Record(what="open", status="RUNNING", opening=opening, tags=tag_texts(about)))

    def config(self, plain: Mapping[str, Any]) -> None:
        told = flat(plain)
        fresh = {key: value for key, value in told.items() if key not in self._params}
        # MLflow never changes a parameter, so what a later command says differently becomes a tag.
        other = {key: value for key, value in told.items() if self._params.get(key, value) != value}
        self._params |= fresh
        self._put(Record(what="config", params=fresh, tags=other))

    def tags(self, tags: Mapping[str, object]) -> None:
        commit = {COMMIT: tags["commit"]} if "commit" in tags else {}
        self._put(Record(what="tags", tags=tag_texts({**tags, **commit})))

    def data(self, data: ResidentDataset, context: str) -> None:
        profile = {"num_rows": len(data), "classes": data.spec.num_classes}
        used = Data(
            name=data.name,
            digest=data.fingerprint,
            context=context,
            profile=json.dumps(profile),
            schema=json.dumps(_schema(data)),
            source=f"robustcnn.load({data.name.rpartition('/')[0] or data.name!r})",
        )
        self._put(Record(what="data", data=used))

    def epoch(self, metrics: EpochMetrics | GanMetrics) -> None:
        if metrics.epoch not in self._epochs:
            self._epochs.add(metrics.epoch)
            self._put(Record(what="epoch", points=epoch_points(metrics)))

    def metrics(self, values: Mapping[str, float], *, step: int = 0) -> None:
        points = tuple(Point(key=safe(key), value=float(value), step=step) for key, value in values.items())
        self._put(Record(what="metrics", points=points))

    def report(self, report: RobustnessReport, *, ball: Ball | None = None) -> None:
        self._reports += 1
        suffix = f"_{self._reports}" if self._reports > 1 else ""
        points, tags = report_points(report, suffix=suffix, ball=ball), report_tags(report)
        if (reached := strength(report, ball)) >= self._strongest:
            self._strongest = reached
            points, tags = (*headline_points(report, ball), *points), tags | {STRENGTH: json.dumps(reached)}
        else:
            # A weaker evaluation says nothing against a stronger one.
            tags = {key: value for key, value in tags.items() if key.startswith("evaluated.")}
        points = tuple(each for each in points if not self._is_higher(report.fingerprint, each))
        self._note_lowest(report.fingerprint, points)
        profile = json.dumps({"num_rows": report.count})
        used = Data(name=report.data, digest=report.fingerprint, context="evaluation", profile=profile)
        self._put(Record(what="report", points=points, tags=tag_texts(tags), data=used))

    def _is_higher(self, examples: str, point: Point) -> bool:
        """Whether another evaluation of the same examples found less of a ball's robust accuracy."""
        return point.value > self._told.get((examples, point.key), math.inf)

    def _note_lowest(self, examples: str, points: Iterable[Point]) -> None:
        for point in points:
            if point.key.startswith(IN_A_BALL):
                self._told[examples, point.key] = min(point.value, self._told.get((examples, point.key), math.inf))

    def note(self, text: str) -> None:
        self._put(Record(what="tags", tags={NOTE: text}))

    def picture(self, path: Path | str, key: str, *, step: int = 0) -> None:
        self._put(Record(what="picture", file=self._inside(path), shown=Shown(key=key, step=step)))

    def table(self, path: Path | str) -> None:
        self._put(Record(what="table", file=(place := self._inside(path)), under=place))

    def artifact(self, path: Path | str, *, content: bytes | None = None, under: str = "") -> None:
        self._put(Record(what="file", file=self._inside(path, absent=content is not None), under=under), content)

    def _inside(self, path: Path | str, *, absent: bool = False) -> str:
        """The path within the run's folder, of a file that is there unless it may be absent."""
        full = (self.folder / path).resolve()
        if not full.is_relative_to(self.folder):
            raise ValueError(f"an artifact must lie in the run's folder {self.folder}, got {path}")
        if not absent and not full.exists():
            raise FileNotFoundError(f"artifact {full} is absent (pass its content to have it written)")
        return full.relative_to(self.folder).as_posix()

    def checkpoint(self, *, training: bool = False) -> None:
        for path in sorted([*self.folder.glob("*.json"), *self.folder.glob("*.safetensors")]):
            if path.name != PLACE and (training or "training-" not in path.name):
                self.artifact(path, under=CHECKPOINT)

    def model(self) -> None:
        self._put(Record(what="model"))

    def close(self, status: Status = "FINISHED") -> None:
        self._put(Record(what="close", status=status))
        self._outbox.close()

    def _put(self, record: Record, content: bytes | None = None) -> None:
        self._outbox.put(record, content)


def _opening(folder: Path, experiment: str) -> Opening:
    store = Store.of(folder.parent)
    return Opening(
        key=uuid.uuid4().hex,
        name=short(folder.name),
        tracking_uri=store.uri,
        experiment=experiment,
        artifacts=store.artifacts,
    )


def _schema(data: ResidentDataset) -> dict[str, object]:
    """The arrays as MLflow describes them."""
    images = {"dtype": str(data.images.dtype).removeprefix("torch."), "shape": [-1, *data.spec.shape]}
    labels = {"dtype": "int64", "shape": [-1]}
    described = {
        name: json.dumps([{"type": "tensor", "tensor-spec": spec}])
        for name, spec in (("features", images), ("targets", labels))
    }
    return {"mlflow_tensorspec": described}
