"""The process beside a run that uploads its spool, so that neither MLflow's weight nor its trouble is the run's.

It ends when its standard input does, which also happens when the run is killed.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

LOG = "tracking.log"
PATIENCE = 5.0
"""Seconds after which one is told what is being waited for."""


class Uploader:
    """The uploading process of the run in this folder."""

    def __init__(self, folder: Path) -> None:
        # A session of its own: Ctrl-C is meant for the run, whose last words are still to be uploaded.
        with (folder / LOG).open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "robustcnn.tracking", str(folder)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def failed(self) -> bool:
        """Whether it ended by itself, which it never should."""
        return bool(self.process.poll())

    def ended(self, patience: float | None = None) -> bool:
        """Have it upload what is left and end; whether it did within `patience` seconds."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        try:
            self.process.wait(patience)
        except subprocess.TimeoutExpired:
            return False
        except BaseException:
            self.process.terminate()
            self.process.wait()
            raise
        return True
