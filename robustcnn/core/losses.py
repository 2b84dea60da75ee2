"""Losses, one value an example: what an attack climbs and what training descends."""

from __future__ import annotations

import warnings
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

LossName = Literal["ce", "odds", "margin", "dlr"]


def cross_entropy(logits: Tensor, labels: Tensor, *, smoothing: float = 0.0) -> Tensor:
    """Cross-entropy of each example; `labels` are indices (N,) or probabilities (N, K)."""
    return F.cross_entropy(logits, labels, reduction="none", label_smoothing=smoothing)


def is_answer(logits: Tensor) -> Tensor:
    """Whether logits have a softmax: none is NaN or +inf, and not all are -inf."""
    return logits.amax(1).isfinite()


def is_right(logits: Tensor, labels: Tensor) -> Tensor:
    """Whether the label has the greatest logit; what has no softmax is no answer, so not right."""
    greatest, predicted = logits.max(1)
    return (predicted == labels) & greatest.isfinite()


def margin(logits: Tensor, labels: Tensor) -> Tensor:
    """Best wrong logit minus the true one: positive exactly when the example is fooled."""
    true = logits.gather(1, labels[:, None]).squeeze(1)
    others = logits.scatter(1, labels[:, None], -torch.inf)
    return others.amax(1) - true


def log_odds(logits: Tensor, labels: Tensor) -> Tensor:
    """Logarithm of the odds against the label: rises with the cross-entropy, with the same direction of ascent.

    It does not round away where a model is sure of itself: there 1 - p, and with it the slope of cross-entropy, is 0.
    """
    true = logits.gather(1, labels[:, None]).squeeze(1)
    return logits.scatter(1, labels[:, None], -torch.inf).logsumexp(1) - true


def dlr(logits: Tensor, labels: Tensor) -> Tensor:
    """Difference of logits ratio (Croce & Hein 2020): the margin as a share of the gap from first to third logit."""
    top = logits.topk(3, dim=1).values
    return margin(logits, labels) / (top[:, 0] - top[:, 2]).clamp_min(_LEAST_GAP)


def targeted_dlr(logits: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
    """Target's logit minus the true one, as a share of the gap from the first to the middle of third and fourth."""
    top = logits.topk(4, dim=1).values
    lead = (logits.gather(1, targets[:, None]) - logits.gather(1, labels[:, None])).squeeze(1)
    return lead / (top[:, 0] - (top[:, 2] + top[:, 3]) / 2).clamp_min(_LEAST_GAP)


def attack_loss(name: LossName, logits: Tensor, labels: Tensor, targets: Tensor | None = None) -> Tensor:
    """What an attack climbs: away from `labels`, or towards `targets` where they are given."""
    classes = logits.shape[1]
    needed = 3 if targets is None else 4
    if name == "dlr" and classes < needed:
        kind = "dlr" if targets is None else "dlr towards a target"
        warnings.warn(
            f"{kind} needs at least {needed} classes, the model has {classes}: the margin loss is used instead",
            stacklevel=2,
        )
        name = "margin"
    if targets is None:
        return {"ce": cross_entropy, "odds": log_odds, "margin": margin, "dlr": dlr}[name](logits, labels)
    if name == "dlr":
        return targeted_dlr(logits, labels, targets)
    return -{"ce": cross_entropy, "odds": log_odds, "margin": margin}[name](logits, targets)


def loss_and_slope(
    name: LossName, logits: Tensor, labels: Tensor, targets: Tensor | None = None
) -> tuple[Tensor, Tensor] | None:
    """The loss and its derivative by the logits (N, K), where it has a simple one: no graph is needed for it."""
    aim, sign = (labels, 1) if targets is None else (targets, -1)
    if name == "ce" and aim.is_floating_point():
        logs = logits.log_softmax(1)
        loss, slope = -(aim * logs).sum(1), logs.exp() * aim.sum(1, keepdim=True) - aim
    elif name == "ce":
        logs = logits.log_softmax(1)
        loss, slope = -logs.gather(1, aim[:, None]).squeeze(1), logs.exp_()
        slope.scatter_add_(1, aim[:, None], slope.new_full((), -1).expand(len(slope), 1))
    elif name == "odds":
        others = logits.scatter(1, aim[:, None], -torch.inf)
        loss = others.logsumexp(1) - logits.gather(1, aim[:, None]).squeeze(1)
        slope = others.softmax(1).scatter_(1, aim[:, None], -1)
    else:
        return None
    return (loss, slope) if sign > 0 else (-loss, -slope)


_LEAST_GAP = 1e-12
"""Keeps the ratio of equal logits a number."""
