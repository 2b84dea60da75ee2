"""Any function from images to scores as a victim: remote services, scikit-learn models, quantised networks."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


class BlackBox(nn.Module):
    """A victim that can only be asked: `scores(images)` gives one number a class, as a tensor, an array or a list.

    Only attacks without gradients apply: Square, noise, the spatial grid, HopSkipJump by way of foolbox.
    """

    def __init__(self, scores: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.scores = scores

    def forward(self, images: Tensor) -> Tensor:
        return torch.as_tensor(self.scores(images.detach()), device=images.device)
