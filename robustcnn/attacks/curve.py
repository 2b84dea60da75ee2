"""The radius at which each example breaks, over growing balls: a curve at little more cost than one point."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from robustcnn.attacks.base import Attack, is_fooled
from robustcnn.attacks.craft import craft, prepare
from robustcnn.runtime import Precision, evaluating, seeded
from robustcnn.threat import ThreatModel


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

    Only what stood at a smaller eps is attacked at the next one, so accuracy cannot rise with eps: what breaks in a
    small ball is broken in every larger one.
    """
    _check(threats)
    if not len(images):
        return images.new_empty(0, dtype=torch.float64)
    generator = seeded(0, images.device) if generator is None else generator
    view = prepare(model, images, labels, precision=precision, batch_size=batch_size)
    with evaluating(model):
        broken_at = torch.where(is_fooled(_judged(model, images), labels), 0.0, torch.inf).double()
        for threat in threats:
            rows = broken_at.isinf().nonzero().flatten()
            if not len(rows):
                break
            found = craft(attack, view, images[rows], labels[rows], threat, generator=generator)
            found = threat.project(found, images[rows])
            broken_at[rows[is_fooled(_judged(model, found), labels[rows])]] = threat.eps
    return broken_at


def _check(threats: Sequence[ThreatModel]) -> None:
    if not threats:
        raise ValueError("threats must hold at least one threat, got none")
    for small, large in pairwise(threats):
        if (small.norm, small.bounds) != (large.norm, large.bounds) or small.eps >= large.eps:
            raise ValueError(f"threats must be of one norm with growing eps, got {small} before {large}")


def _judged(model: nn.Module, images: Tensor) -> Tensor:
    """The plain model's own logits, a moderate batch at a time."""
    return torch.cat([model(part) for part in images.split(256)])
