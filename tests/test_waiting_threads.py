"""Threads that wait for each other leave the core to whoever needs it, unless the user has it otherwise."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SETTINGS = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
TOLD = "import os; print(os.environ.get('GOMP_SPINCOUNT'))"


@pytest.mark.parametrize(
    ("first", "given", "expected"),
    [
        ("import robustcnn", {}, "1000"),
        ("import robustcnn", {"GOMP_SPINCOUNT": "7"}, "7"),
        ("import robustcnn", {"OMP_WAIT_POLICY": "ACTIVE"}, "None"),
        # Read already: to set it now would only mislead.
        ("import torch, robustcnn", {}, "None"),
    ],
)
def test_the_package_sets_how_threads_wait_where_nobody_has(first: str, given: dict[str, str], expected: str) -> None:
    environment = {
        name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    }
    command = [sys.executable, "-c", f"{first}; {TOLD}"]
    done = subprocess.run(command, env=environment | given, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == expected
