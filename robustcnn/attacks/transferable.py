"""What makes an adversarial image of one model work on another."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def diversify(images: Tensor, generator: torch.Generator, *, probability: float, shrink: float = 0.1) -> Tensor:
    """Each image, with this probability, shrunk by up to `shrink` and put anywhere on black (Xie et al. 2019)."""
    count = len(images)
    draws = torch.rand(4, count, generator=generator, device=generator.device).to(images)
    chosen = draws[0] < probability
    scale = torch.where(chosen, 1 / (1 - shrink * draws[1]), 1)
    # In units of half an image: what is free on either side once the image has shrunk.
    shift = (scale - 1) * (2 * draws[2:] - 1)
    transform = images.new_zeros(count, 2, 3)
    transform[:, 0, 0] = transform[:, 1, 1] = scale
    transform[:, :, 2] = shift.T
    grid = F.affine_grid(transform, list(images.shape), align_corners=False)
    seen = F.grid_sample(images, grid, align_corners=False)
    return torch.where(chosen[:, None, None, None], seen, images)


def smooth(gradient: Tensor, size: int) -> Tensor:
    """The gradient averaged over shifts of the image by a Gaussian of three deviations a side (Dong et al. 2019)."""
    line = torch.linspace(-3, 3, size, dtype=gradient.dtype, device=gradient.device).square().div(-2).exp()
    line = line / line.sum()
    channels = gradient.shape[1]
    kernel = (line[:, None] * line).expand(channels, 1, size, size)
    return F.conv2d(gradient, kernel, padding=size // 2, groups=channels)


class Diversified(nn.Module):
    """A model that is shown each image by way of `diversify`, drawn anew each time."""

    def __init__(self, model: nn.Module, *, probability: float, generator: torch.Generator) -> None:
        super().__init__()
        self.model, self.probability, self.generator = model, probability, generator

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.model(diversify(images, self.generator, probability=self.probability))
        return logits
