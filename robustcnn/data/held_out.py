"""What the epochs of a training are judged by: examples held out, or too few to hold any out."""

from __future__ import annotations

from robustcnn.core.runtime import derived_seed, seeded
from robustcnn.data.resident import ResidentDataset

LEAST_HELD_OUT = 10
"""Fewer held-out examples than this choose an epoch by chance."""


def held_out(data: ResidentDataset, share: float, *, seed: int) -> tuple[ResidentDataset, ResidentDataset]:
    """What to train on, and what to judge the epochs by: all of it twice where too little would be held out."""
    if not 0 <= share < 1:
        raise ValueError(f"validation must lie in [0, 1), got {share:g} (0 holds nothing out)")
    if round(share * len(data)) < LEAST_HELD_OUT or data.counts.min() < 2:
        return data, data
    return data.split(share, generator=seeded(derived_seed(seed, "validation")))
