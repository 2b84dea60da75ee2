"""PGD as it stands in many a tutorial, to be compared with: backward() through the whole network."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

REACH = 2.5
"""Length of all of PGD's steps together, in units of eps."""


def textbook_pgd(
    model: nn.Module, images: Tensor, labels: Tensor, *, eps: float, steps: int, stride: float | None = None
) -> Tensor:
    """Steps of `stride` from a random point of the linf ball; 0 steps stand for FGSM, which starts at the image."""
    stride = eps if not steps else REACH * eps / steps if stride is None else stride
    adversarial = (images + (torch.empty_like(images).uniform_(-eps, eps) if steps else 0)).clamp(0, 1)
    for _ in range(steps or 1):
        adversarial = adversarial.detach().requires_grad_()
        F.cross_entropy(model(adversarial), labels).backward()
        stepped = adversarial.detach() + stride * adversarial.grad.sign()
        adversarial = (images + (stepped - images).clamp(-eps, eps)).clamp(0, 1)
    model.zero_grad()
    return adversarial.detach()
