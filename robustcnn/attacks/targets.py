"""Which wrong class a targeted attack aims at."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

Target = Literal["none", "second", "least", "random"] | int
"""No class, the likeliest wrong one, the least likely wrong one, any wrong one, or the class with this index."""


def runner_up(logits: Tensor, labels: Tensor, rank: int = 1) -> Tensor:
    """The wrong class with the `rank`-th greatest logit; the least likely one for rank -1."""
    wrong = logits.scatter(1, labels[:, None], -torch.inf).argsort(1, descending=True)
    # The true class comes last, so that rank -1 is position -2.
    return wrong[:, rank - 1]


def choose_targets(target: Target, logits: Tensor, labels: Tensor, *, generator: torch.Generator) -> Tensor | None:
    """One class an example, or None when the attack is not targeted; only `int` may name an example's own class."""
    classes = logits.shape[1]
    if target == "none":
        return None
    if target == "second":
        return runner_up(logits, labels)
    if target == "least":
        return runner_up(logits, labels, -1)
    if target == "random":
        skip = torch.randint(1, classes, labels.shape, generator=generator, device=generator.device)
        return (labels + skip.to(labels.device)) % classes
    if isinstance(target, int) and 0 <= target < classes:
        return torch.full_like(labels, target)
    raise ValueError(f"target must be none, second, least, random or a class in 0..{classes - 1}, got {target!r}")


class Towards(nn.Module):
    """Two classes, any but the target and the target: whoever leaves class 0 has reached the target."""

    def __init__(self, model: nn.Module, target: int) -> None:
        super().__init__()
        self.model, self.target = model, target

    def forward(self, images: Tensor) -> Tensor:
        logits = self.model(images)
        aimed = logits[:, self.target]
        others = logits.index_fill(1, torch.tensor([self.target], device=logits.device), -torch.inf)
        pair = torch.stack([others.amax(1), aimed], 1)
        # In units of their gap, for the cross-entropy of two far logits rounds to 0, and its slope with it.
        return pair / (1 + (pair[:, :1] - pair[:, 1:]).abs().detach())
