"""The face of every network: pixels in [0, 1] in, logits out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from robustcnn.core.layer_kinds import Chained, Pointwise
from robustcnn.core.spec import ImageSpec
from robustcnn.models.model_config import ModelConfig


class PixelModel(nn.Module, Chained):
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
        logits: Tensor = self.net(self.normalised(images))
        return _two_logits(logits) if self.config.single_logit else logits

    def normalised(self, images: Tensor) -> Tensor:
        """As the network sees them."""
        return (images - self.mean) / self.std

    def steps(self) -> list[Callable[[Tensor], Tensor]]:
        """What `forward` does, one after the other."""
        return [PixelByPixel(self.normalised), self.net, *([_two_logits] if self.config.single_logit else [])]


@dataclass(frozen=True, slots=True)
class PixelByPixel(Pointwise):
    """A function of images, and that each pixel is alone to it."""

    function: Callable[[Tensor], Tensor]

    def __call__(self, images: Tensor) -> Tensor:
        return self.function(images)


def _two_logits(logits: Tensor) -> Tensor:
    """Softmax over [0, z] is the sigmoid of z."""
    return torch.cat([torch.zeros_like(logits), logits], 1)
