"""PostgreSQL as Debian installs it, with an MLflow server before it, each for the length of a block."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

USER = "nobody"
"""PostgreSQL refuses to be run by root."""


def programs() -> Path | None:
    """The folder of initdb, as Debian has it or on the path."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).resolve().parent if on_path else None


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def database() -> Iterator[str]:
    """The address of an empty database."""
    home = programs()
    assert home is not None
    folder, port = Path(tempfile.mkdtemp(prefix="postgres-")), free_port()
    before: list[str] = []
    if os.geteuid() == 0:
        who = pwd.getpwnam(USER)
        os.chown(folder, who.pw_uid, who.pw_gid)
        before = ["setpriv", f"--reuid={who.pw_uid}", f"--regid={who.pw_gid}", "--clear-groups"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder}
    made = [*before, str(home / "initdb"), "-D", f"{folder}/data", "-A", "trust", "-U", "mlflow", "--no-sync"]
    subprocess.run(made, check=True, **quiet)  # type: ignore[call-overload]
    settings = ["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "max_connections=50"]
    process = subprocess.Popen(
        [*before, str(home / "postgres"), "-D", f"{folder}/data", "-p", str(port), "-k", str(folder), *settings],
        **quiet,  # type: ignore[call-overload]
    )
    try:
        address = f"postgresql+psycopg2://mlflow@127.0.0.1:{port}/postgres"
        _wait(lambda: bool(rows(address, "SELECT 1")), 60)
        yield address
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


def rows(address: str, query: str) -> list[tuple[object, ...]]:
    import psycopg2

    connection = psycopg2.connect(address.replace("+psycopg2", ""))
    try:
        with connection.cursor() as cursor:
            cursor.execute(query)
            return list(cursor.fetchall())
    finally:
        connection.close()


class Server:
    """`mlflow server`, as the documentation starts it."""

    def __init__(self, address: str, port: int, folder: Path) -> None:
        self.url, self.folder = f"http://127.0.0.1:{port}", folder
        self.command = [
            *(sys.executable, "-m", "mlflow", "server", "--workers", "1", "--host", "127.0.0.1", "--port", str(port)),
            *("--backend-store-uri", address, "--artifacts-destination", str(folder / "artifacts")),
        ]

    def start(self) -> None:
        environ = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        environ.pop("MLFLOW_TRACKING_URI", None)
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command, stdout=log, stderr=log, env=environ, start_new_session=True, cwd=self.folder
            )
        _wait(self._answers, 180)

    def kill(self) -> None:
        """At once, with all that it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def _answers(self) -> bool:
        with urllib.request.urlopen(f"{self.url}/health", timeout=5):
            return True


def _wait(ready: object, seconds: float) -> None:
    end = time.monotonic() + seconds
    while True:
        try:
            if ready():  # type: ignore[operator]
                return
        except Exception:
            if time.monotonic() > end:
                raise
        time.sleep(0.2)
