"""L1 and L2 regularisation as lectured: J + lambda1/m * sum |w| + lambda2/m * sum w^2, over weights alone."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from robustcnn.train.optimisation.optim import weights_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Penalties:
    """Lambdas already divided by m, the number of training examples."""

    l1: float
    l2: float

    @classmethod
    def of(cls, *, l1: float, l2: float, examples: int) -> Penalties:
        return cls(l1=l1 / examples, l2=l2 / examples)

    def value(self, model: nn.Module) -> Tensor:
        """What the penalties add to the loss."""
        weights = weights_of(model)
        total = torch.zeros((), device=weights[0].device)
        for weight in weights:
            total = total + self.l1 * weight.abs().sum() + self.l2 * weight.square().sum()
        return total

    @torch.no_grad()
    def add_gradients(self, model: nn.Module) -> None:
        """Add the derivative of `value` to the weights' .grad: one pass, no graph."""
        weights = [weight for weight in weights_of(model) if weight.grad is not None]
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        if self.l2:
            torch._foreach_add_(gradients, weights, alpha=2 * self.l2)
        if self.l1:
            torch._foreach_add_(gradients, torch._foreach_sign(weights), alpha=self.l1)
