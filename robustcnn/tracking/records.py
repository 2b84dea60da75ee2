"""What is said to a tracker, as plain frozen values: one record a thing said."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


def now() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """One value of one metric."""

    key: str
    value: float
    step: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Data:
    """A data set that the run used."""

    name: str
    digest: str
    context: str
    """What for: training, validation, test, evaluation."""
    profile: str = "{}"
    """Its sizes, as JSON."""
    schema: str = ""
    """Kinds and shapes of its arrays, as MLflow writes them in JSON."""
    source: str = ""
    """Where it comes from."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """How a picture is shown among those of other runs: under one key, in the order of its steps."""

    key: str
    step: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Opening:
    """Where the run is to be shown; `key` finds it there again when its id was lost."""

    key: str
    name: str
    tracking_uri: str
    experiment: str
    artifacts: str = ""
    """Of a new experiment; the server's choice when empty."""
    started: int = field(default_factory=now)


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """One thing that was said, and when: uploading it twice with the same time adds nothing."""

    what: str
    time: int = field(default_factory=now)
    points: tuple[Point, ...] = ()
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    data: Data | None = None
    shown: Shown | None = None
    """The file is a picture for MLflow's image grid."""
    file: str = ""
    """Path within the run's folder."""
    under: str = ""
    """Folder of the artifact store that the file goes to."""
    status: str = ""
    opening: Opening | None = None
