"""An evaluation by AutoAttack that kills its own process inside a piece: FOLDER N dies at the N-th step that counts."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import interrupted
import torch

from robustcnn.attacks import AutoAttack
from robustcnn.core import snapshots
from robustcnn.core.results import RobustnessReport
from robustcnn.core.threat import ThreatModel

steps, die_at = 0, 0


def look(self: snapshots.Snapshots) -> None:
    """As if a writing were due at every third step."""
    global steps
    steps += 1
    if not steps % 3 and not self.saved:
        self.write()
    if steps == die_at:
        os.kill(os.getpid(), signal.SIGKILL)


def run(folder: Path | None) -> RobustnessReport:
    return interrupted.run(folder, attacks=[AutoAttack()], threats=[ThreatModel(eps=4 / 255)], block=40)


if __name__ == "__main__":
    torch.set_num_threads(1)
    snapshots.Snapshots.look = look  # type: ignore[method-assign]
    die_at = int(sys.argv[2])
    run(Path(sys.argv[1]))
