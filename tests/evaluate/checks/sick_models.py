"""For each check of the bare answers and gradients a small model that makes exactly it speak up; healthy is what they
are made from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from checked_networks import DATA
from torch import Tensor, nn

from robustcnn.data import ResidentDataset
from robustcnn.data.resident import as_pixels

Change = Callable[[Tensor], Any]


class Changed(nn.Module):
    """A network with something done to its input or to its output."""

    def __init__(self, net: nn.Module, *, before: Change | None = None, after: Change | None = None) -> None:
        super().__init__()
        self.net, self.before, self.after = net, before, after

    def forward(self, images: Tensor) -> Any:
        logits = self.net(self.before(images) if self.before else images)
        return self.after(logits) if self.after else logits


class AfterCalls(nn.Module):
    """Does something to its answers once it has been asked so often."""

    def __init__(self, net: nn.Module, calls: int, change: Change) -> None:
        super().__init__()
        self.net, self.calls, self.change = net, calls, change

    def forward(self, images: Tensor) -> Any:
        self.calls -= 1
        logits = self.net(images)
        return logits if self.calls > 0 else self.change(logits)


class OfSize(nn.Module):
    """Takes batches of some sizes only."""

    def __init__(self, net: nn.Module, takes: Callable[[int], bool]) -> None:
        super().__init__()
        self.net, self.takes = net, takes

    def forward(self, images: Tensor) -> Tensor:
        if not self.takes(len(images)):
            raise RuntimeError(f"no batches of {len(images)}\nplease")
        logits: Tensor = self.net(images)
        return logits


class AtHome(nn.Module):
    """Knows the pictures that it will be asked about, and how far from the nearest of them it is."""

    def __init__(self, net: nn.Module, data: ResidentDataset) -> None:
        super().__init__()
        self.net, self.classes = net, data.spec.num_classes
        self.register_buffer("home", as_pixels(data.images))
        self.register_buffer("labels", data.labels)

    def nearest(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The distance in linf (N,), and which it is."""
        distances = torch.cdist(images.detach().flatten(1), self.home.to(images).flatten(1), p=torch.inf)
        least: tuple[Tensor, Tensor] = distances.min(1)
        return least


class FlatBetween(AtHome):
    """Between two distances from the nearest picture it gives that one's label, as if it had learnt it by heart."""

    def __init__(self, net: nn.Module, data: ResidentDataset, low: float, high: float) -> None:
        super().__init__(net, data)
        self.low, self.high = low, high

    def forward(self, images: Tensor) -> Tensor:
        distance, which = self.nearest(images)
        flat = ((distance > self.low) & (distance < self.high))[:, None]
        by_heart = 9.0 * F.one_hot(self.labels[which], self.classes).to(images)
        return torch.where(flat, by_heart, self.net(images))


class Striped(AtHome):
    """Is wrong about pictures to which stripes from top to bottom were added, and about no others more than its net."""

    def __init__(self, net: nn.Module, data: ResidentDataset, eps: float) -> None:
        super().__init__(net, data)
        self.eps = eps

    def forward(self, images: Tensor) -> Tensor:
        home = self.home.to(images)[self.nearest(images)[1]]
        light, dark = (
            (images - (home + change).clamp(0, 1)).detach().abs().amax(2) < 1e-4 for change in (self.eps, -self.eps)
        )
        striped = (light | dark).flatten(1).all(1)[:, None]
        logits = self.net(images)
        return torch.where(striped, logits.roll(1, 1), logits)


def no_slope_on_the_grid(net: nn.Module) -> nn.Module:
    """Pictures of bytes, as they come, have no slope; one step away from them there is one."""

    def held(images: Tensor) -> Tensor:
        off = (255 * images - (255 * images).round()).abs().flatten(1).amax(1) > 1e-4
        return torch.where(off.view(-1, 1, 1, 1), images, images.detach())

    return Changed(net, before=held)


def straight_through(change: Change) -> Change:
    return lambda images: images + (change(images) - images).detach()


def levels(images: Tensor) -> Tensor:
    return (6 * images).round() / 6


def raising(_: Tensor) -> Tensor:
    raise KeyError("weights")


ALONE: dict[str, tuple[Callable[[nn.Module], nn.Module], str]] = {
    "answers": (lambda net: OfSize(net, lambda size: size != 7), "fail"),
    "repeatable answers": (lambda net: Changed(net, after=lambda z: z + 0.1 * torch.randn_like(z)), "warn"),
    "scores are logits": (lambda net: Changed(net, after=lambda z: z.softmax(1)), "fail"),
    "label order": (lambda net: Changed(net, after=lambda z: z.roll(1, 1)), "fail"),
    "input gradient": (lambda net: Changed(net, before=lambda x: x.detach()), "fail"),
    "evaluation mode": (lambda net: Changed(net, after=lambda z: z + 0 * F.dropout(z, training=True)), "fail"),
    "company": (lambda net: Changed(net, after=lambda z: z + 3 * z.mean()), "fail"),
    "float32 is float32": (lambda net: Changed(net, after=lambda z: z + 0 * z.bfloat16().float()), "fail"),
    "vanishing gradients": (no_slope_on_the_grid, "fail"),
    "unbounded eps": (lambda net: FlatBetween(net, DATA, 0.45, 2.0), "fail"),
    "monotone curve": (lambda net: FlatBetween(net, DATA, 0.12, 0.45), "fail"),
    "finite gradients": (lambda net: Changed(net, before=torch.sqrt), "fail"),
    "gradients at the bounds": (lambda net: Changed(net, before=lambda x: x.clamp(0, 1)), "fail"),
    "shattered gradients": (lambda net: Changed(net, before=straight_through(levels)), "fail"),
    "scale of the logits": (lambda net: Changed(net, after=lambda z: 1000 * z), "fail"),
    "no memory": (lambda net: AfterCalls(net, 40, lambda z: z + z.detach().abs().mean()), "fail"),
}
"""The check, what makes it speak, and what it says; no other check says more than pass."""

HOSTILE: dict[str, Callable[[nn.Module], nn.Module]] = {
    "None": lambda net: Changed(net, after=lambda _: None),
    "numpy": lambda net: Changed(net, after=lambda z: np.asarray(z.detach())),
    "a dict without logits": lambda net: Changed(net, after=lambda z: {"a": z, "b": z}),
    "one row too few": lambda net: Changed(net, after=lambda z: z[1:]),
    "one column": lambda net: Changed(net, after=lambda z: z[:, :1]),
    "another class count": lambda net: Changed(net, after=lambda z: torch.cat([z, z], 1)),
    "a picture": lambda net: Changed(net, after=lambda z: z[:, :, None, None]),
    "nan": lambda net: Changed(net, after=lambda z: z * torch.nan),
    "nan for some": lambda net: Changed(net, after=lambda z: torch.where(z[:, :1] > z[:, 1:2], torch.nan, z)),
    "raises": lambda net: Changed(net, before=raising),
    "raises at batches of 7": lambda net: OfSize(net, lambda size: size != 7),
    "needs two": lambda net: OfSize(net, lambda size: size > 1),
    "raises under attack": lambda net: AfterCalls(net, 60, raising),
    "nan under attack": lambda net: AfterCalls(net, 60, lambda z: z * torch.nan),
    "needs another argument": lambda _: nn.Bilinear(2, 2, 3),
}
"""Models that answer as no model should."""
