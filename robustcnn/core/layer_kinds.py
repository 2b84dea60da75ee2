"""Kinds of layers that can be searched with sooner; a layer is of a kind by its type, never by a name that it has."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from torch import Tensor, nn


class Settling(ABC):
    """A layer that has another form once its weights stand still."""

    @abstractmethod
    def frozen(self) -> nn.Module:
        """That form, which computes the same."""


class Pointwise:
    """A function, or a layer, to which every pixel is alone."""


class Chained(ABC):
    """A network that does one thing after the other."""

    @abstractmethod
    def steps(self) -> list[Callable[[Tensor], Tensor]]:
        """What it does, in that order."""
