"""A Dask scheduler and its worker, as somebody else would start them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path


class Elsewhere:
    """A scheduler and a worker that are started by hand, in a folder of their own."""

    def __init__(self, port: int, folder: Path) -> None:
        self.address, self.port, self.folder = f"tcp://127.0.0.1:{port}", str(port), folder
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        self._start("scheduler", "--host", "127.0.0.1", "--port", self.port, "--no-dashboard")
        self._start("worker", self.address, "--nthreads", "1", "--memory-limit", "0", "--no-dashboard", "--no-nanny")

    def _start(self, *words: str) -> None:
        environ = os.environ | {"ROLE": words[0], "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "dask", *words]
        with (self.folder / f"{words[0]}.log").open("ab") as log:
            self.processes.append(subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=log, env=environ))

    def kill(self) -> None:
        for each in self.processes:
            each.send_signal(signal.SIGKILL)
            each.wait()
        self.processes = []
