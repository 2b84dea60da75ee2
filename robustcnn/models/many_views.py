"""One model asked about several views of a picture, as ten-crop tests do."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ManyViews(nn.Module):
    """The logarithm of the mean probability over the picture, its shifts by so many pixels, and all of their mirrors.

    Shift 0 leaves the picture and its mirror; any other gives the ten views of a ten-crop test (middle and four
    corners, each mirrored). What comes in at the sides repeats the edge.
    """

    def __init__(self, model: nn.Module, *, shift: int = 0, mirror: bool = True) -> None:
        super().__init__()
        if shift < 0:
            raise ValueError(f"shift must not be negative, got {shift} (pixels)")
        self.model, self.shift, self.mirror = model, shift, mirror

    def forward(self, images: Tensor) -> Tensor:
        views = [each for moved in self._moved(images) for each in ([moved, moved.flip(3)] if self.mirror else [moved])]
        answers = torch.stack([self.model(view).log_softmax(1) for view in views])
        return answers.logsumexp(0) - torch.tensor(float(len(views))).log()

    def _moved(self, images: Tensor) -> list[Tensor]:
        if not self.shift:
            return [images]
        far, (height, width) = self.shift, images.shape[2:]
        wide = F.pad(images, (far,) * 4, mode="replicate")
        corners = [(far, far), (0, 0), (0, 2 * far), (2 * far, 0), (2 * far, 2 * far)]
        return [wide[:, :, top : top + height, left : left + width] for top, left in corners]
