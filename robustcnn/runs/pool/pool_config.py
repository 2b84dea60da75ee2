"""Where the pieces of evaluations are worked on."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from robustcnn.core.plain_data import from_plain, shown


@dataclass(frozen=True, kw_only=True, slots=True)
class PoolConfig:
    """Other processes that take pieces: of this machine, of a scheduler that runs already, or of a cluster."""

    workers: int | None = None
    """Processes on this machine, one a core or GPU; of a cluster, how many to ask for."""
    scheduler: str = ""
    """Address of a Dask scheduler that has workers already: tcp://HOST:8786."""
    cluster: Path | None = None
    """A TOML file that names a cluster's class, such as dask_jobqueue.SLURMCluster, and its options."""

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise ValueError(f"workers must be at least 1, got {self.workers}")
        if self.scheduler and (self.cluster or self.workers):
            raise ValueError(
                "scheduler has workers of its own: leave out --workers and --cluster, or leave out --scheduler"
            )
        if self.scheduler and "://" not in self.scheduler:
            raise ValueError(f"scheduler must be an address such as tcp://HOST:8786, got {shown(self.scheduler)}")

    def __bool__(self) -> bool:
        return bool(self.workers or self.scheduler or self.cluster)


@dataclass(frozen=True, kw_only=True, slots=True)
class ClusterTable:
    """What the TOML file says."""

    kind: str
    """The class by its dotted name."""
    workers: int = 1
    """How many to ask for, unless the command says."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Keyword arguments of the class."""


def read_cluster(path: Path) -> ClusterTable:
    """class = "dask_jobqueue.SLURMCluster", workers = 8, [options] queue = "gpu"."""
    try:
        plain = tomllib.loads(path.read_text())
    except OSError as problem:
        raise FileNotFoundError(f"--cluster {path}: {problem.strerror or problem}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as problem:
        raise ValueError(f"--cluster {path} is not TOML: {problem}") from None
    options = plain.pop("options", {})
    if "class" not in plain or not isinstance(options, dict):
        raise ValueError(f'--cluster {path} must say class = "package.Class" and may have a table [options]')
    try:
        table = from_plain(ClusterTable, {"kind": plain.pop("class"), **plain})
    except ValueError as problem:
        raise ValueError(f"--cluster {path}: {problem}") from None
    return ClusterTable(kind=table.kind, workers=table.workers, options=options)
