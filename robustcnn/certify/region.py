"""Where the images may be: a ball cut with the pixel box, and how low a linear function can get there."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from robustcnn.certify.operations import Box, flat
from robustcnn.core.norms import NORMS, Norm
from robustcnn.core.threat import ThreatModel


@dataclass(frozen=True, eq=False)
class Region:
    """The points that a threat allows."""

    norm: Norm
    images: Tensor
    eps: Tensor
    """(N,)."""
    box: Box
    """What each pixel may be."""

    @classmethod
    def of(cls, images: Tensor, threat: ThreatModel, dtype: torch.dtype, eps: Tensor | None = None) -> Region:
        """A crumb larger than the threat's, for images that were projected in float32; or of `eps` (N,)."""
        images = images.to(dtype)
        eps = images.new_full((len(images),), threat.eps) if eps is None else eps.to(dtype)
        eps = eps * (1 + 2**-20) + 2**-22
        reach = eps.view(-1, *[1] * (images.ndim - 1))
        low, high = threat.bounds
        box = Box((images - reach).clamp_min(low).minimum(images), (images + reach).clamp_max(high).maximum(images))
        return cls(threat.geometry, images, eps, box)

    @classmethod
    def point(cls, images: Tensor) -> Region:
        """The images themselves and nothing round them."""
        return cls(NORMS["linf"], images, images.new_zeros(len(images)), Box(images, images))

    def rounded(self, dtype: torch.dtype) -> Region:
        """In a coarser precision, and no smaller."""
        eps, box = self.eps.to(dtype) * (1 + 2**-20), self.box.rounded(dtype)
        return replace(self, images=self.images.to(dtype), eps=eps, box=box)

    def least(self, rows: Tensor) -> Tensor:
        """The least value (N, S), or less, of linear functions with coefficients (N, S, ...)."""
        if self.norm.box_shaped:
            return self.box.least(rows)
        rows, images = flat(rows, 2), self.images.flatten(1).unsqueeze(1)
        down, up = (end.flatten(1).unsqueeze(1) - images for end in self.box)
        # How far each pixel can move so that the function falls.
        room = torch.where(rows > 0, -down, up)
        return (rows * images).sum(2) - self.norm.greatest_gain(rows.abs(), room, self.eps.view(-1, 1, 1)).squeeze(2)
