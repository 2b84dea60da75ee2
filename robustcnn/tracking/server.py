"""MLflow's web page on a store, as a child process."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from robustcnn.tracking.place import Store

HOST = "127.0.0.1"
FIRST_PORT, PORTS = 5000, 50
START = 120.0
"""Seconds that the server may take to answer; usually five to ten."""
ENDING = (signal.SIGTERM, getattr(signal, "SIGKILL", signal.SIGTERM))
"""Gently first."""
SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # Eight more processes, for jobs that nobody here asks for.
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
}


@contextmanager
def serve(store: Store, *, port: int | None = None) -> Iterator[str]:
    """The address of a server on this store, which runs as long as the block; a store that is a server runs already."""
    if store.uri.startswith("http"):
        yield store.uri.rstrip("/")
        return
    port = _port(port)
    url = f"http://{HOST}:{port}"
    with tempfile.TemporaryFile() as log, contextlib.ExitStack() as stack:
        with store.first_use():
            process = _start(store, port, log)
            stack.callback(_stop, process)
            _wait(process, url, log)
        yield url


def _port(wanted: int | None) -> int:
    """The wanted port if it is free, else the first free one from 5000 on."""
    candidates = range(FIRST_PORT, FIRST_PORT + PORTS) if wanted is None else [wanted]
    for port in candidates:
        with contextlib.suppress(OSError), socket.create_server((HOST, port)):
            return port
    if wanted is not None:
        raise ValueError(f"port {wanted} is taken (choose another one, or none to have a free one found)")
    raise OSError(f"the ports {FIRST_PORT} to {FIRST_PORT + PORTS - 1} are all taken")


def _start(store: Store, port: int, log: IO[bytes]) -> subprocess.Popen[bytes]:
    artifacts = ["--artifacts-destination", store.artifacts] if store.artifacts else []
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "mlflow", "server", "--workers", "1", "--uvicorn-opts", "--log-level warning"),
            *("--backend-store-uri", store.uri, "--host", HOST, "--port", str(port), *artifacts),
        ],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        env=os.environ | SETTINGS,
        # A group of its own, to be ended whole: the command starts further processes.
        start_new_session=True,
    )


def _wait(process: subprocess.Popen[bytes], url: str, log: IO[bytes]) -> None:
    deadline = time.monotonic() + START
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/health", timeout=5):
            return
        time.sleep(0.1)
    log.seek(0)
    said = [line for line in log.read().decode(errors="replace").splitlines() if "Error" in line]
    raise OSError(f"the MLflow server did not start at {url}: {said[-1] if said else 'it did not say why'}")


def _signal(process: subprocess.Popen[bytes], how: int) -> None:
    if sys.platform == "win32":
        process.terminate()
    else:
        os.killpg(process.pid, how)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the server and all that it started."""
    for how in ENDING:
        with contextlib.suppress(ProcessLookupError):
            _signal(process, how)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5)
            return
