"""Where a run tells what it does; training and evaluation never wait for whoever listens."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from robustcnn.core.results import EpochMetrics, RobustnessReport
from robustcnn.tracking.names import Ball

if TYPE_CHECKING:
    from robustcnn.data.resident import ResidentDataset
    from robustcnn.train.gan.metrics import GanMetrics

Status = Literal["FINISHED", "FAILED", "KILLED"]


class Tracker:
    """Listens to one run, in a `with` block whose end closes it; by itself it does nothing."""

    def config(self, plain: Mapping[str, Any]) -> None:
        """What the run was told, as nested plain tables; the first word on each key stands."""

    def tags(self, tags: Mapping[str, object]) -> None:
        """Words about the run: commit, versions, device, seed."""

    def data(self, data: ResidentDataset, context: str) -> None:
        """A data set that the run uses, and what for: training, validation, test."""

    def epoch(self, metrics: EpochMetrics | GanMetrics) -> None:
        """An epoch; one that was told before is passed over, so a resumed run may tell its whole history."""

    def metrics(self, values: Mapping[str, float], *, step: int = 0) -> None:
        """Numbers of any other kind."""

    def report(self, report: RobustnessReport, *, ball: Ball | None = None) -> None:
        """An evaluation: its scalars, curves and the verdict; the headline is about this ball, or the largest."""

    def note(self, text: str) -> None:
        """The run's description, in Markdown; `figure(PATH)` of `tracking.note` shows an artifact in it."""

    def picture(self, path: Path | str, key: str, *, step: int = 0) -> None:
        """A picture in the run's folder, to be compared with those of other runs under the same key."""

    def table(self, path: Path | str) -> None:
        """A table in the run's folder: JSON, {column: [...]}, in which `*.png` are pictures beside it."""

    def artifact(self, path: Path | str, *, content: bytes | None = None, under: str = "") -> None:
        """A file or folder within the run's folder, written here first when there is `content`."""

    def checkpoint(self, *, training: bool = False) -> None:
        """The run's checkpoint as it is on disk now; with the optimiser's state when `training`."""

    def model(self) -> None:
        """An export of the best weights that MLflow itself can load; costs the uploader seconds."""

    def close(self, status: Status = "FINISHED") -> None:
        """The run has ended; waits for the upload."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.close("FAILED" if issubclass(kind, Exception) else "KILLED")


class NullTracker(Tracker):
    """Nobody listens."""
