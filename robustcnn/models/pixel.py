"""The face of every network: pixels in [0, 1] in, logits out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from robustcnn.models.config import ModelConfig
from robustcnn.spec import ImageSpec


class PixelModel(nn.Module):
    """Normalises inside, so that whatever happens outside (attacks, norms, figures) is in pixel units.

    Nothing is clamped on the way: a clamp has no gradient at its bounds, which hides a model from its attacker.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, net: nn.Module, spec: ImageSpec, config: ModelConfig) -> None:
        super().__init__()
        self.net = net
        self.spec = spec
        self.config = config
        self.register_buffer("mean", torch.tensor(spec.mean)[:, None, None])
        self.register_buffer("std", torch.tensor(spec.std)[:, None, None])

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, K) of float images (N, C, H, W)."""
        if not images.is_floating_point():
            raise ValueError(f"images must be floats in [0, 1], got {images.dtype} (divide bytes by 255)")
        if images.shape[1:] != self.spec.shape:
            raise ValueError(f"images must be (N, {', '.join(map(str, self.spec.shape))}), got {tuple(images.shape)}")
        logits: Tensor = self.net((images - self.mean) / self.std)
        # Softmax over [0, z] is the sigmoid of z.
        return torch.cat([torch.zeros_like(logits), logits], 1) if self.config.single_logit else logits
