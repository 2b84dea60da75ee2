"""Short synthetic sounds as waves in [-1, 1]: a tone, a chord, a sweep, or noise."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from robustcnn.core.runtime import seeded

SOUNDS = ("tone", "chord", "sweep", "noise")
RATE = 8000
"""Samples a second."""


class Sounds(NamedTuple):
    waves: Tensor
    """(N, samples)."""
    labels: Tensor
    """(N,), indices into SOUNDS."""


def draw_sounds(count: int, *, seconds: float = 0.5, noise: float = 0.3, seed: int = 0) -> Sounds:
    """So many sounds at any pitch from 200 to 1,600 Hz, of any loudness, with noise under all of them."""
    if count < 1 or not seconds * RATE >= 256:
        raise ValueError(f"count must be at least 1 and seconds at least {256 / RATE:g}, got {count} and {seconds:g}")
    draws = seeded(seed)
    labels = torch.randint(len(SOUNDS), (count,), generator=draws)
    time = torch.arange(round(seconds * RATE)) / RATE
    pitch = 200 * 2 ** (3 * torch.rand(count, 1, generator=draws))
    # Major or minor: the third is four or three half tones up, the fifth seven.
    third = torch.randint(3, 5, (count, 1), generator=draws)
    steps = torch.cat([torch.zeros(count, 1), third, torch.full((count, 1), 7)], 1)
    phases = 2 * math.pi * torch.rand(count, 3, generator=draws)
    voices = torch.sin(2 * math.pi * pitch[..., None] * 2 ** (steps / 12)[..., None] * time + phases[..., None])
    speed = torch.rand(count, 1, generator=draws) + 0.5
    sweep = torch.sin(2 * math.pi * pitch * (time + speed * time.square() / seconds) + phases[:, :1])
    hiss = torch.randn(count, len(time), generator=draws)
    kinds = torch.stack([voices[:, 0], voices.mean(1) * math.sqrt(3), sweep, 0.7 * hiss], 1)
    chosen = kinds[torch.arange(count), labels]
    loud = 0.2 + 0.3 * torch.rand(count, 1, generator=draws)
    waves = loud * (chosen + noise * torch.randn(count, len(time), generator=draws))
    return Sounds(waves.clamp(-1, 1), labels)
