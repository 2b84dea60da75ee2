"""A drawn sign's way to the camera, in the form in which attacks take any such way."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from robustcnn.data.signs.scenes import Conditions, scene


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Street:
    """Front views (N, 3, h, w) to pictures out in the world, a scene each; gradients reach the front view.

    What is drawn hangs on the generator alone: one seed shows a sign with and without stickers in the same scenes.
    """

    outline: Tensor
    """(1, h, w): which of a front view is sign."""
    size: int = 32
    """Of the picture, in pixels."""
    conditions: Conditions = field(default_factory=Conditions)

    def __call__(self, images: Tensor, *, generator: torch.Generator) -> Tensor:
        outlines = self.outline.to(images).expand(len(images), -1, -1, -1)
        return scene(images, outlines, size=self.size, generator=generator, conditions=self.conditions)
