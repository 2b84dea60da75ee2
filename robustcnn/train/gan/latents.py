"""What a generator makes images of: vectors of standard normal numbers."""

from __future__ import annotations

import torch
from torch import Tensor

from robustcnn.core.runtime import derived_seed, seeded


def sample_latents(count: int, size: int, *, seed: int, purpose: str) -> Tensor:
    """The same for the same seed and purpose: what changes from epoch to epoch is the generator."""
    return torch.randn(count, size, generator=seeded(derived_seed(seed, purpose)))


def interpolated(start: Tensor, end: Tensor, steps: int) -> Tensor:
    """(N, steps, size): on the arc from each vector to its partner.

    A straight line would pass near the origin, where normal vectors of many numbers never lie.
    """
    if steps < 2:
        raise ValueError(f"steps count both ends and must be at least 2, got {steps}")
    lengths = [each.norm(dim=1, keepdim=True) for each in (start, end)]
    cosine = (start / lengths[0] * (end / lengths[1])).sum(1, keepdim=True)
    # Of parallel vectors the arc is the straight line, whose formula is the other one's limit.
    angle = cosine.clamp(-1, 1).acos().clamp_min(1e-4)[:, None]
    share = torch.linspace(0, 1, steps, device=start.device)[None, :, None]
    before, after = (1 - share) * angle, share * angle
    between: Tensor = (before.sin() * start[:, None] + after.sin() * end[:, None]) / angle.sin()
    return between
