"""The linear explanation of adversarial examples (Goodfellow et al. 2015, sections 3 and 4) as measurements."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from robustcnn.attacks.base import input_gradient
from robustcnn.core.losses import log_odds
from robustcnn.core.runtime import evaluating, frozen_weights
from robustcnn.core.threat import ThreatModel

BATCH = 128


def sign_direction(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """FGSM's direction: the sign of the gradient of the cross-entropy, -1, 0 or 1 a pixel."""
    with evaluating(model), frozen_weights(model):
        # Of the log-odds, which have the gradient's direction and do not round it away.
        slope = input_gradient(model, images, lambda logits, rows: log_odds(logits, labels[rows]), chunk=BATCH)
    return ThreatModel(norm="linf").steepest(slope.gradient)


@torch.no_grad()
def logits_along(model: nn.Module, images: Tensor, direction: Tensor, eps: Sequence[float]) -> Tensor:
    """Logits (E, N, K) of images + eps * direction for each eps, negative ones too; pixels may leave [0, 1]."""
    with evaluating(model):
        return torch.stack(
            [torch.cat([model(part) for part in (images + each * direction).split(BATCH)]) for each in eps]
        )


def error_along(
    model: nn.Module, images: Tensor, labels: Tensor, direction: Tensor, eps: Sequence[float]
) -> tuple[float, ...]:
    """The share of wrong answers at each eps along the direction."""
    wrong = logits_along(model, images, direction, eps).argmax(2) != labels
    return tuple(wrong.double().mean(1).tolist())


def sign_agreement(first: Tensor, second: Tensor) -> Tensor:
    """Per example, the share of pixels at which two directions have the same sign, of those where both have one.

    One half is chance; what two models agree on is why an example made on the one fools the other.
    """
    signs = first.sign() * second.sign()
    both = (signs != 0).flatten(1).sum(1)
    return (signs > 0).flatten(1).sum(1) / both.clamp_min(1)


def straightness(logits: Tensor, eps: Sequence[float]) -> Tensor:
    """Per example and class (N, K), the share of the variance over eps that a straight line explains."""
    steps = torch.tensor(eps, dtype=torch.float64, device=logits.device)
    steps = (steps - steps.mean())[:, None, None]
    values = logits.double() - logits.double().mean(0)
    explained = (steps * values).sum(0).square() / steps.square().sum()
    total = values.square().sum(0)
    return torch.where(total > 0, explained / total, 1.0)
