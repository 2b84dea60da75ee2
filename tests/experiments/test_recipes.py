"""The commands for a GPU, in small, on the processor at hand."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.data
def test_the_cifar_recipes_train_and_are_judged_and_are_only_printed_the_second_time(
    real_data: Path, tmp_path: Path
) -> None:
    if not (real_data / "cifar10.npz").exists():
        pytest.skip(f"no cifar10.npz in {real_data}")
    options = ["--smoke", "--count", "4", "--runs", str(tmp_path)]
    env = os.environ | {"ROBUSTCNN_DATA": str(real_data), "OMP_NUM_THREADS": "1"}

    def rows(*names: str) -> list[str]:
        script = [sys.executable, str(ROOT / "experiments" / "07_robust_recipes.py"), *names]
        done = subprocess.run([*script, *options], env=env, capture_output=True, text=True, check=True, timeout=500)
        return [line for line in done.stdout.splitlines() if line.startswith("| `smoke-")]

    names = ("cifar10-fast", "cifar10-pgd", "cifar10-trades-awp")
    first = rows(*names)
    assert [row.split("`")[1] for row in first] == [f"smoke-{name}-0" for name in names]
    assert all("n = 4" in row for row in first)
    assert rows(names[0]) == first[:1]
