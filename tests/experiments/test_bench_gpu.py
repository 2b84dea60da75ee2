"""The benchmark for GPUs is tried on a CPU, in small, so that it is ready where there is one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from forked import run_script

SCRIPT = Path(__file__).parents[2] / "experiments" / "bench_gpu.py"
SMALL = ["--device=cpu", "--images=2", "--steps=2", "--rounds=1", "--no-compile", "--networks", "lenet5", "resnet18"]


@pytest.mark.slow
def test_the_gpu_benchmark_writes_its_table_on_a_cpu_too(tmp_path: Path) -> None:
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    done = run_script(SCRIPT, *SMALL, folder=tmp_path, env=env)
    assert done.status == 0, done.stderr[-2000:]
    rows = [line for line in done.stdout.splitlines() if line.startswith(("| lenet5", "| resnet18"))]
    assert len(rows) == 2 * (3 + 2)
    assert sorted(len(row.split("|")) for row in rows) == [7] * 4 + [8] * 6


def test_without_a_gpu_it_says_so_in_one_line(tmp_path: Path) -> None:
    env = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, str(SCRIPT)], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 2
    assert done.stderr.strip() == "torch sees no GPU here; --device cpu tries the script without one"
