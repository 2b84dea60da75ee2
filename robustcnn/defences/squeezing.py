"""Feature squeezing: fewer grey levels, or JPEG, before the model sees an image (Xu et al. 2018, Guo et al. 2018)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from robustcnn.channel import jpeg


class Squeezed(nn.Module):
    """Answers to the squeezed image.

    Rounding has no slope, so gradients end there: with `straight_through` they pass as if nothing had been squeezed,
    which is how somebody who knows the defence looks at it (BPDA, Athalye et al. 2018). Answers are the same.
    """

    def __init__(
        self, model: nn.Module, *, bits: int | None = None, quality: int | None = None, straight_through: bool = False
    ) -> None:
        super().__init__()
        if bits is None and quality is None:
            raise ValueError("a Squeezed needs bits (grey levels) or quality (JPEG), got neither")
        if bits is not None and not 1 <= bits <= 8:
            raise ValueError(f"bits must lie in 1..8, got {bits}")
        if quality is not None and not 1 <= quality <= 100:
            raise ValueError(f"quality must lie in 1..100, got {quality}")
        self.model, self.bits, self.quality, self.straight_through = model, bits, quality, straight_through

    def forward(self, images: Tensor) -> Tensor:
        slope = images - images.detach() if self.straight_through else 0 * images
        logits: Tensor = self.model(self.squeeze(images) + slope)
        return logits

    @torch.no_grad()
    def squeeze(self, images: Tensor) -> Tensor:
        """Pixels with fewer levels, then saved as JPEG and opened again, as far as either is asked for."""
        if self.bits is not None:
            top = 2**self.bits - 1
            images = (top * images).round() / top
        return images if self.quality is None else jpeg(images, self.quality)
