"""Where runs lie unless one is told otherwise."""

from pathlib import Path

RUNS = Path("mlruns/checkpoints")
"""One folder a run."""
SWEEPS = "sweeps"
"""Beside them: one folder a study."""
