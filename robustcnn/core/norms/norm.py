"""What a norm is: everything about measuring a change that attacks, judges and tables ask for."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, Protocol

import torch
from torch import Tensor

Bounds = tuple[float, float]
"""Least and greatest value of a pixel."""
Radius = float | Tensor
"""One for all examples, or one each, shaped (N, 1, ...) to broadcast against the images."""


Projector = Callable[[Tensor], Tensor]
"""Brings images into one ball and the bounds."""


class Windows(Protocol):
    """How the Square attack starts and what it tries next in this norm."""

    @property
    def least_side(self) -> int:
        """The smallest window, in pixels."""

    @property
    def odd(self) -> bool:
        """Whether windows need a middle row."""

    @property
    def shared(self) -> bool:
        """Whether all images are changed in one window at a time, so that `change` is shown that window alone."""

    @property
    def overshoots(self) -> bool:
        """Whether what is tried may leave the ball and has to be projected; else clipping to the bounds is enough."""

    def start(self, images: Tensor, radius: Radius, generator: torch.Generator) -> Tensor:
        """Images (N, C, H, W) far out in the ball."""

    def change(self, images: Tensor, current: Tensor, radius: Radius, side: int, generator: torch.Generator) -> Tensor:
        """What to try instead of `current`; of both, the pixels of the window alone where it is `shared`."""


class Norm(ABC):
    """One norm, batched over the first dimension; adding another is one new file that registers a subclass."""

    name: ClassVar[str]
    order: ClassVar[float | None] = None
    """p where this is an Lp norm, for libraries that ask for p."""
    sparse: ClassVar[bool] = False
    """Whether the steepest steps move few pixels only, so that they need other rules than dense ones."""
    grey_levels: ClassVar[bool] = False
    """Whether people count its eps in grey levels, such as 8/255."""
    largest: ClassVar[float] = math.inf
    """The greatest eps that means anything for pixels in [0, 1]."""
    box_shaped: ClassVar[bool] = False
    """Whether the ball is a box: every pixel is free of the others."""
    windows: ClassVar[Windows | None] = None
    """None where the Square attack has none."""

    @abstractmethod
    def usual_eps(self, data: str, channels: int) -> float:
        """The radius that papers use for a data set of this name, or for images of so many channels."""

    def say(self, eps: float) -> str:
        """eps as people write it."""
        return fraction(eps) if self.grey_levels else f"{eps:g}"

    def check_eps(self, eps: float, bounds: Bounds) -> None:  # noqa: ARG002
        """Refuse a radius that makes no sense."""
        if not eps >= 0:
            raise ValueError(f"eps must be at least 0, got {eps:g}")

    @abstractmethod
    def project(self, images: Tensor, origin: Tensor, radius: Radius, bounds: Bounds) -> Tensor:
        """The nearest point (in the Euclidean sense) inside the ball around `origin` and the bounds."""

    def projector(self, origin: Tensor, radius: Radius, bounds: Bounds) -> Projector:
        """`project` for one origin and many images: to the rounding of a pixel."""
        return lambda images: self.project(images, origin, radius, bounds)

    @abstractmethod
    def steepest(self, gradient: Tensor, share: float | Tensor) -> Tensor:
        """The change of length 1 that gains most along the gradient; `share` is for sparse norms."""

    @abstractmethod
    def shrink(self, change: Tensor, length: Radius) -> Tensor:
        """The nearest change that is no longer than `length`."""

    @abstractmethod
    def length(self, change: Tensor) -> Tensor:
        """The norm of each example, shaped (N, 1, ...)."""

    @abstractmethod
    def dual(self, gradient: Tensor) -> Tensor:
        """The gain of the steepest step of length 1, shaped (N, 1, ...)."""

    @abstractmethod
    def ball(self, like: Tensor, radius: Radius, generator: torch.Generator) -> Tensor:
        """Changes uniform in the ball."""

    @abstractmethod
    def surface(self, like: Tensor, radius: Radius, generator: torch.Generator) -> Tensor:
        """Changes on the surface of the ball, as AutoPGD starts."""

    @abstractmethod
    def plane_moves(self, weight: Tensor, room: Tensor, need: Tensor) -> Tensor:
        """How far each pixel goes: the least of the norm with sum(weight * moves) = need and 0 <= moves <= room.

        All are at least 0, weight and room (N, pixels), need (N,); where the need cannot be met, every pixel of weight
        goes as far as it can.
        """

    def greatest_gain(self, slope: Tensor, room: Tensor, radius: Radius) -> Tensor:  # noqa: ARG002
        """At least max sum(slope * moves) over moves of this norm within the radius, 0 <= moves <= room.

        Slope and room are at least 0, (..., pixels); the radius broadcasts against (..., 1), which is what is given.
        What is said here holds for every norm in which no pixel moves further than the radius.
        """
        return (slope * room).sum(-1, keepdim=True)


def fraction(eps: float) -> str:
    """`8/255` where that is what eps is, else the plain number; 0.2 is 0.2, although it is 51/255 too."""
    grey_levels = eps * 255
    if math.isinf(eps) or float(f"{eps:.3g}") == eps or abs(grey_levels - round(grey_levels)) > 1e-6:
        return f"{eps:g}"
    return f"{round(grey_levels)}/255"
