"""Stickers on a real sign: RP2 (Eykholt et al. 2018), one perturbation for all views of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from robustcnn.channel import Channel
from robustcnn.core.runtime import evaluating, frozen_weights, seeded

Palette = tuple[tuple[float, ...], ...]
INKS: Palette = (
    (0.96, 0.96, 0.94),
    (0.07, 0.07, 0.08),
    (0.50, 0.50, 0.50),
    (0.85, 0.10, 0.14),
    (0.05, 0.55, 0.25),
    (0.12, 0.18, 0.55),
    (0.05, 0.60, 0.85),
    (0.85, 0.10, 0.50),
    (0.98, 0.88, 0.08),
)
"""What a colour printer is sure to print: paper, black, grey, and its inks, alone and two on each other.

No printer was measured: give your own where you have one.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """How one step of the search went."""

    loss: float
    """Mean cross-entropy towards the target, penalties left out."""
    success: float
    """Share of this step's views that are taken for the target."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Sticker:
    """What is to be printed and where it goes."""

    colours: Tensor
    """(1, C, H, W) in [0, 1]; what the mask leaves out counts for nothing."""
    mask: Tensor
    """(1, 1, H, W): 1 where the sticker covers the sign."""
    history: tuple[Step, ...] = ()

    def on(self, signs: Tensor) -> Tensor:
        """The signs (N, C, H, W) with the sticker; where the mask is 0, every bit is as it was."""
        return signs + self.mask.to(signs) * (self.colours.to(signs) - signs)


@dataclass(frozen=True, kw_only=True, slots=True)
class RP2:
    """The sticker that is taken for the target in most views; a search by Adam over draws of the channel."""

    steps: int = 200
    """Gradients taken."""
    step_size: float = 0.1
    """Of Adam, in pixel units; it falls to zero over the steps."""
    views: int = 48
    """Draws of the channel a step."""
    printability: float = 0.3
    """Weight of the non-printability score, a mean over the sticker."""
    smoothness: float = 0.05
    """Weight of the total variation, a mean over the sticker."""
    closeness: float = 0.0
    """Weight of the mean square of the change of the sign's own colours, for posters that are to look like it."""
    palette: Palette = INKS
    """Colours that can be printed, one value a channel, in [0, 1]."""
    snap: bool = True
    """Print the nearest colours of the palette, and none but these; else the score is all that keeps to it."""

    def __post_init__(self) -> None:
        if self.steps < 1 or self.views < 1:
            raise ValueError(f"steps and views must be at least 1, got {self.steps} and {self.views}")
        for name in ("step_size", "printability", "smoothness", "closeness"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name):g}")
        if not self.palette:
            raise ValueError("palette must hold at least one colour, got none")

    def __call__(
        self,
        model: nn.Module,
        signs: Tensor,
        mask: Tensor,
        *,
        target: int,
        channel: Channel,
        generator: torch.Generator | None = None,
    ) -> Sticker:
        """One sticker for the signs (K, C, H, W), each met in `views` / K of the views; the mask is (1, 1, H, W)."""
        palette = _checked(signs, mask, self.palette)
        generator = seeded(0, signs.device) if generator is None else generator

        def look(stuck: Tensor) -> Tensor:
            logits: Tensor = model(channel(stuck, generator=generator))
            return logits

        with torch.no_grad(), evaluating(model), frozen_weights(model):
            colours, history = self._search(look, signs, mask.to(signs), palette, target)
        return Sticker(colours=colours, mask=mask.to(signs), history=history)

    def _search(
        self, look: Callable[[Tensor], Tensor], signs: Tensor, mask: Tensor, palette: Tensor, target: int
    ) -> tuple[Tensor, tuple[Step, ...]]:
        colours = signs.mean(0, keepdim=True).clone().requires_grad_()
        adam = torch.optim.Adam([colours], lr=self.step_size)
        cooling = torch.optim.lr_scheduler.LambdaLR(adam, lambda step: 1 - step / self.steps)
        seen = signs[torch.arange(self.views, device=signs.device) % len(signs)]
        targets = torch.full((self.views,), target, device=signs.device)
        history = []
        for _ in range(self.steps):
            with torch.enable_grad():
                logits = look(Sticker(colours=self._printed(colours, palette), mask=mask).on(seen))
                loss = F.cross_entropy(logits, targets)
                total = loss + self._penalty(colours, mask, palette, signs)
                # grad, not backward(): nothing but the colours is to hear of it.
                (colours.grad,) = torch.autograd.grad(total, [colours])
            adam.step()
            cooling.step()
            colours.clamp_(0, 1)
            history.append(Step(loss=loss.item(), success=(logits.argmax(1) == targets).float().mean().item()))
        return self._printed(colours.detach(), palette), tuple(history)

    def _printed(self, colours: Tensor, palette: Tensor) -> Tensor:
        """What the printer makes of the colours, as if it made no difference to the gradient."""
        # What is added is 0, but has the slope of the colours.
        return snapped(colours, palette) + (colours - colours.detach()) if self.snap else colours

    def _penalty(self, colours: Tensor, mask: Tensor, palette: Tensor, signs: Tensor) -> Tensor:
        area = mask.sum()
        scores = (non_printability(colours, palette) * mask[:, 0]).sum() / area
        change = (mask * (colours - signs.mean(0, keepdim=True)).square()).sum() / (area * colours.shape[1])
        variation = total_variation(colours, mask) / area
        return self.printability * scores + self.smoothness * variation + self.closeness * change


def non_printability(colours: Tensor, palette: Tensor) -> Tensor:
    """Scores (N, H, W), 0 exactly for colours of the palette (P, C): products of the distances (Sharif et al. 2016)."""
    return _distances(colours, palette).prod(1)


def total_variation(colours: Tensor, mask: Tensor) -> Tensor:
    """Sum of the differences between neighbours, as far as both lie in the mask."""
    down = (colours.diff(dim=2).abs() * torch.minimum(mask[:, :, 1:], mask[:, :, :-1])).sum()
    return down + (colours.diff(dim=3).abs() * torch.minimum(mask[..., 1:], mask[..., :-1])).sum()


def snapped(colours: Tensor, palette: Tensor) -> Tensor:
    """The nearest colours of the palette."""
    return palette[_distances(colours, palette).argmin(1)].permute(0, 3, 1, 2)


def _distances(colours: Tensor, palette: Tensor) -> Tensor:
    """(N, P, H, W), Euclidean; on a colour of the palette the slope is 0."""
    distances: Tensor = torch.linalg.vector_norm(colours[:, None] - palette[:, :, None, None], dim=2)
    return distances


def _checked(signs: Tensor, mask: Tensor, colours: Palette) -> Tensor:
    """The palette as a tensor."""
    if signs.ndim != 4 or mask.shape != (1, 1, *signs.shape[2:]):
        raise ValueError(
            f"signs must be (K, C, H, W) and mask (1, 1, H, W), got {tuple(signs.shape)} and {tuple(mask.shape)}"
        )
    if not (mask >= 0).all() or not (mask <= 1).all() or not mask.any():
        raise ValueError("mask must lie in [0, 1] and cover something: 1 where the sticker may be, 0 elsewhere")
    if any(len(colour) != signs.shape[1] for colour in colours):
        raise ValueError(f"palette must have one value for each of the {signs.shape[1]} channels")
    return torch.tensor(colours).to(signs)
