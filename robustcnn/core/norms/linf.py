"""The maximum norm: every pixel may change by eps."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from robustcnn.core.norms.batched import draw, dual_length, length_of, signs
from robustcnn.core.norms.norm import Bounds, Norm, Projector, Radius
from robustcnn.core.norms.plane import along
from robustcnn.core.norms.sorted_root import SEARCHED

USUAL = {"mnist": 0.3, "fashion-mnist": 0.1, "digits": 0.1}
"""By data set, where it is not 8/255."""


class Stripes:
    """Square's windows: vertical stripes to begin with, then one window in which every channel goes to +eps or -eps."""

    least_side, odd, shared, overshoots = 1, False, True, False

    def start(self, images: Tensor, radius: Radius, generator: torch.Generator) -> Tensor:
        count, channels, _, width = images.shape
        return images + radius * signs((count, channels, 1, width), images, generator)

    def change(
        self,
        images: Tensor,
        current: Tensor,  # noqa: ARG002
        radius: Radius,
        side: int,  # noqa: ARG002
        generator: torch.Generator,
    ) -> Tensor:
        return images + radius * signs((*images.shape[:2], 1, 1), images, generator)


class Linf(Norm):
    """The largest change of a pixel."""

    name, order, grey_levels, largest, box_shaped = "linf", math.inf, True, 1.0, True
    windows = Stripes()

    def usual_eps(self, data: str, channels: int) -> float:  # noqa: ARG002
        return USUAL.get(data, 8 / 255)

    def check_eps(self, eps: float, bounds: Bounds) -> None:
        widest = bounds[1] - bounds[0]
        if not 0 <= eps <= widest:
            cure = f" (did you mean {eps:g} / 255?)" if 1 < eps <= 255 else ""
            raise ValueError(f"eps must lie in [0, {widest:g}] for linf, got {eps:g}{cure}")

    def project(self, images: Tensor, origin: Tensor, radius: Radius, bounds: Bounds) -> Tensor:
        return self.shrink(images - origin, radius).add_(origin).clamp_(*bounds)

    def projector(self, origin: Tensor, radius: Radius, bounds: Bounds) -> Projector:
        # The ball is a box: its corners are where the corners of the bounds end up.
        least, most = (self.project(torch.full_like(origin, bound), origin, radius, bounds) for bound in bounds)
        if origin.device.type in SEARCHED:
            # One after the other, because a clamp between tensors is several times slower on a CPU.
            return lambda images: images.maximum(least).minimum(most)
        return lambda images: images.clamp(least, most)

    def steepest(self, gradient: Tensor, share: float | Tensor) -> Tensor:  # noqa: ARG002
        return gradient.sign()

    def shrink(self, change: Tensor, length: Radius) -> Tensor:
        return change.clamp(-length, length)  # type: ignore[arg-type]

    def length(self, change: Tensor) -> Tensor:
        return length_of(change, math.inf)

    def dual(self, gradient: Tensor) -> Tensor:
        return dual_length(gradient, 1)

    def ball(self, like: Tensor, radius: Radius, generator: torch.Generator) -> Tensor:
        return (2 * draw(torch.rand, like, generator) - 1) * radius

    def surface(self, like: Tensor, radius: Radius, generator: torch.Generator) -> Tensor:
        direction = draw(torch.rand, like, generator) - 0.5
        return radius * direction / length_of(direction, math.inf)

    def plane_moves(self, weight: Tensor, room: Tensor, need: Tensor) -> Tensor:
        return along(weight.sign(), weight, room, need)
