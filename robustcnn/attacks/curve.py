"""The radius at which each example breaks, found by halving: a curve of eight points for the price of two or three."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from robustcnn.attacks.base import Attack, is_fooled
from robustcnn.attacks.craft import craft, prepare
from robustcnn.core.runtime import Precision, evaluating, seeded
from robustcnn.core.threat import ThreatModel


@torch.no_grad()
def breaking_eps(
    attack: Attack,
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    threats: Sequence[ThreatModel],
    *,
    precision: Precision = "fp32",
    batch_size: int | Literal["auto"] = "auto",
    generator: torch.Generator | None = None,
) -> Tensor:
    """The least of the threats' eps that broke each example: 0 for clean mistakes, inf for those that stand at all.

    What stands in a ball is taken to stand in the smaller ones, and what breaks in it to break in the larger ones, so
    accuracy cannot rise with eps: after the largest ball each example is asked for in the middle of what is left.
    """
    _check(threats)
    if not len(images):
        return images.new_empty(0, dtype=torch.float64)
    generator = seeded(0, images.device) if generator is None else generator
    view = prepare(model, images, labels, precision=precision, batch_size=batch_size)
    with evaluating(model):
        wrong = is_fooled(_judged(model, images), labels)
        # Indices of threats: the largest in which an example stands, the smallest that broke it.
        stands = torch.full_like(labels, -1)
        breaks = torch.where(wrong, -1, len(threats))
        asked = torch.where(wrong, -1, len(threats) - 1)
        radii = torch.tensor([threat.eps for threat in threats], dtype=torch.float64, device=images.device)
        while len(rows := (asked >= 0).nonzero().flatten()):
            # One attack for all, each example in the ball that it is asked for.
            ball = threats[0].each(radii[asked[rows]])
            found = craft(attack, view, images[rows], labels[rows], ball, generator=generator)
            fooled = is_fooled(_judged(model, ball.project(found, images[rows])), labels[rows])
            breaks[rows] = torch.where(fooled, asked[rows], breaks[rows])
            stands[rows] = torch.where(fooled, stands[rows], asked[rows])
            asked = torch.where(breaks - stands > 1, (breaks + stands) // 2, -1)
    return torch.cat([radii, radii.new_tensor([torch.inf, 0.0])])[breaks]


def _check(threats: Sequence[ThreatModel]) -> None:
    if not threats:
        raise ValueError("threats must hold at least one threat, got none")
    for small, large in pairwise(threats):
        if (small.norm, small.bounds) != (large.norm, large.bounds) or small.eps >= large.eps:
            raise ValueError(f"threats must be of one norm with growing eps, got {small} before {large}")


def _judged(model: nn.Module, images: Tensor) -> Tensor:
    """The plain model's own logits, a moderate batch at a time."""
    return torch.cat([model(part) for part in images.split(256)])
