"""A run's folder, of a training or a pre-training: its name, its claim, its record, and who made it."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy
import torch

import robustcnn
from robustcnn.core.atomic_files import is_plain_name, write_atomically
from robustcnn.core.json_files import read_table, read_value
from robustcnn.core.launch import launched
from robustcnn.core.plain_data import shown, to_plain
from robustcnn.models import checkpoint
from robustcnn.train.gan import checkpoint as gan_checkpoint

Say = Callable[[str], None]
PAGES = (checkpoint.PAGE, gan_checkpoint.PAGE)
"""Where one of these is, a run has been."""


class RunConfig(Protocol):
    """What the configs of all kinds of runs have in common."""

    @property
    def name(self) -> str: ...
    @property
    def runs(self) -> Path: ...
    @property
    def threads(self) -> int | None: ...


C = TypeVar("C", bound=RunConfig)
LAUNCH = "launch"
"""In a run's record: what torchrun calls the launch that began it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind(Generic[C]):
    """What tells the folders of one kind of run from those of another."""

    config: type[C]
    what: str
    record: str
    """The file that says how the run was started."""
    page: str
    """The file that is there once an epoch is finished."""

    def claim(self, config: C, more: Mapping[str, Any] | None = None) -> None:
        """Write down what is about to be run; a run that is there already is never overwritten."""
        folder = folder_of(config)
        if any((folder / page).exists() for page in PAGES):
            raise ValueError(
                f"a run named {shown(config.name)} is there already ({folder}): continue it with "
                f"--resume {config.name}, or choose another --name"
            )
        launch = launched()
        known = {LAUNCH: launch.run} if launch.run else {}
        self._write(folder, {"config": to_plain(config), "made_by": provenance()} | known | dict(more or {}))

    def goes_on(self, config: C) -> bool:
        """Whether this is torchrun starting the same run once more, after a process of it ended, with an epoch done."""
        folder, launch = folder_of(config), launched()
        if not launch.restarts or not (folder / self.page).exists():
            return False
        record = self.read(folder)
        return record.get(LAUNCH) == launch.run and record["config"] == json.loads(json.dumps(to_plain(config)))

    def add(self, folder: Path, more: Mapping[str, Any]) -> None:
        """Write this into the run's record too."""
        self._write(folder, self.read(folder) | dict(more))

    def read(self, folder: Path) -> dict[str, Any]:
        """The run's record."""
        path = folder / self.record
        if not path.is_file():
            others = sorted(entry.parent.name for entry in folder.parent.glob(f"*/{self.record}"))
            known = f"; there are: {', '.join(others)}" if others else ""
            raise FileNotFoundError(f"{folder} holds no {self.what}: it has no {self.record}{known}")
        return read_table(path)

    def read_config(self, folder: Path) -> C:
        """The config that a run was started with."""
        self.read(folder)
        return read_value(self.config, folder / self.record, key="config", cure="start the run anew")

    def resumed(self, name: str, runs: Path) -> tuple[C, bool]:
        """The config of the run of that name, and whether it has finished an epoch."""
        config = self.read_config(runs / name)
        return replace(config, name=name, runs=runs), (runs / name / self.page).exists()  # type: ignore[type-var]

    def _write(self, folder: Path, record: Mapping[str, Any]) -> None:
        write_atomically(folder / self.record, json.dumps(record, indent=1).encode())


def folder_of(config: RunConfig) -> Path:
    """Where the run is kept."""
    return config.runs / config.name


def check(config: RunConfig) -> None:
    """Refuse a name that is no folder's."""
    if config.name and not is_plain_name(config.name):
        raise ValueError(
            f"name must be a plain folder name, got {shown(config.name)} (--runs says where runs are kept)"
        )


def made_up(*parts: str) -> str:
    """A name for a run that was given none: what it is about, time and process, so that two at once differ."""
    launch = launched()
    if launch.may_restart and not launch.known:
        raise ValueError("name must be given where torchrun may start the training again (--name)")
    # Started again, it shall find itself.
    own = launch.run[:8] if launch.may_restart else stamp()
    return "-".join([*(part.partition(":")[0] for part in parts), own])


def stamp() -> str:
    """Time and process."""
    return f"{datetime.now():%Y%m%d-%H%M%S}-{os.getpid() % 1000:03d}"


def provenance() -> dict[str, str]:
    """Versions, commit and machine: what one needs to run it again."""
    return {
        "robustcnn": robustcnn.__version__,
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "commit": _commit(),
        "started": datetime.now().astimezone().isoformat(timespec="seconds"),
    }


def told() -> dict[str, str]:
    """What of it is shown at a glance; the rest is in the run's record."""
    return {name: text for name, text in provenance().items() if name in ("robustcnn", "torch", "commit")}


def _commit() -> str:
    """Of the source tree that this package is imported from, when it is one."""
    try:
        # Installed into an environment inside another repository, it belongs to no commit of that one.
        _git("ls-files", "--error-unmatch", Path(__file__).name)
        return _git("describe", "--always", "--dirty", "--abbrev=12")
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def _git(*command: str) -> str:
    here, options = Path(__file__).parent, {"capture_output": True, "text": True, "timeout": 10, "check": True}
    done = subprocess.run(["git", *command], cwd=here, **options)  # type: ignore[call-overload]
    return str(done.stdout).strip()
