"""A few exchanged symbols: attacks on what has no neighbourhood, such as the characters of a text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from robustcnn.core.losses import margin
from robustcnn.core.runtime import evaluating, frozen_weights


class Embeds(Protocol):
    """A network of symbols with an embedding of its own."""

    def embed(self, symbols: Tensor) -> Tensor: ...
    def from_embedded(self, embedded: Tensor) -> Tensor: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Swaps:
    """Exchange one symbol at a time for the one that hurts most, as far as the gradient can tell (HotFlip, 2018).

    The gradient ranks all exchanges at once; the best `tried` of them are tried, and the worst of those is kept.
    """

    swaps: int = 2
    """At most so many symbols of each text are exchanged."""
    tried: int = 10

    def __post_init__(self) -> None:
        if self.swaps < 0 or self.tried < 1:
            raise ValueError(f"swaps must be at least 0 and tried at least 1, got {self.swaps} and {self.tried}")

    def __call__(self, model: nn.Module, symbols: Tensor, labels: Tensor, vocabulary: int) -> Tensor:
        """Symbols (N, length) with at most `swaps` others in a row; labels (N,)."""
        if symbols.ndim != 2 or symbols.is_floating_point() or int(symbols.max()) >= vocabulary:
            got = f"{symbols.dtype} {tuple(symbols.shape)}"
            raise ValueError(f"symbols must be whole numbers (N, length) below {vocabulary}, got {got}")
        found = symbols.clone()
        with evaluating(model), frozen_weights(model):
            for _ in range(self.swaps):
                found = self._once(model, symbols, found, labels, vocabulary)
        return found

    def _once(self, model: nn.Module, symbols: Tensor, found: Tensor, labels: Tensor, vocabulary: int) -> Tensor:
        """One exchange more, at a place that has none yet, where it widens the margin."""
        gain = _gains(model, found, labels, vocabulary)
        gain = gain.masked_fill((found != symbols)[:, :, None], -torch.inf)
        best = gain.flatten(1).topk(self.tried, dim=1).indices
        rows = torch.arange(len(found))
        tried = [found]
        for column in best.unbind(1):
            other = found.clone()
            other[rows, column // vocabulary] = column % vocabulary
            tried.append(other)
        with torch.no_grad():
            leads = torch.stack([margin(model(each), labels) for each in tried])
        return torch.stack(tried)[leads.argmax(0), rows]


def _gains(model: nn.Module, found: Tensor, labels: Tensor, vocabulary: int) -> Tensor:
    """(N, length, vocabulary): what each exchange adds to the margin, to first order."""
    net: Embeds = model  # type: ignore[assignment]
    leaf = net.embed(found).detach().requires_grad_()
    with torch.enable_grad():
        (slope,) = torch.autograd.grad(margin(net.from_embedded(leaf), labels).sum(), leaf)
    everything = net.embed(torch.arange(vocabulary)[None])[0].detach()
    here = (slope * leaf.detach()).sum(1)
    gains = torch.einsum("nel,ev->nlv", slope, everything) - here[:, :, None]
    return gains.scatter(2, found[:, :, None], -torch.inf)
