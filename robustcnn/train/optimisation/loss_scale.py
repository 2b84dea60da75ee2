"""Small gradients do not vanish in float16: losses are multiplied, gradients divided (Micikevicius et al. 2018)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

START = 2.0**16
PATIENCE = 2000
"""Steps without an overflow after which the factor is doubled."""
LEAST, GREATEST = 2.0**-14, 2.0**24
"""Where gradients overflow below the first, it is not for the factor."""


class LossScale:
    """The factor, halved at every overflow, whose step is left out; for gradients of all processes together."""

    def __init__(self, *, works: bool) -> None:
        self.works, self.factor, self.settled = works, START, 0
        self.overflowed = False
        """At the last step."""

    def up(self, loss: Tensor) -> Tensor:
        return loss * self.factor if self.works else loss

    def direction(self, gradients: Sequence[Tensor]) -> Sequence[Tensor]:
        """Of a multiplied loss, where only the direction counts: none, where they overflowed."""
        return gradients if not self.works or _finite(gradients) else [torch.zeros_like(each) for each in gradients]

    def down(self, parameters: Iterable[nn.Parameter]) -> None:
        """Divide the gradients, and see whether they can be used."""
        if not self.works:
            return
        gradients = [each.grad for each in parameters if each.grad is not None]
        torch._foreach_mul_(gradients, 1 / self.factor)
        self.overflowed = not _finite(gradients)
        self.settled = 0 if self.overflowed else self.settled + 1
        if self.overflowed:
            self.factor /= 2
        elif self.settled == PATIENCE:
            self.factor, self.settled = min(2 * self.factor, GREATEST), 0

    @property
    def is_spent(self) -> bool:
        """Whether no factor is small enough: the gradients themselves are infinite."""
        return self.factor < LEAST

    def state(self) -> dict[str, Tensor]:
        return {"factor": torch.tensor([self.factor, self.settled])} if self.works else {}

    def load_state(self, tensors: dict[str, Tensor]) -> None:
        if self.works and "factor" in tensors:
            factor, settled = tensors["factor"].tolist()
            self.factor, self.settled = factor, int(settled)


def _finite(gradients: Sequence[Tensor]) -> bool:
    return not gradients or bool(torch.stack(torch._foreach_norm(list(gradients))).isfinite().all())
