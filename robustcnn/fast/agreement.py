"""Whether a view is the same function as its model: asked on a probe batch, of logits and of input gradients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from robustcnn.core.runtime import first_line, seeded
from robustcnn.fast.plain_view import PlainView, logits_of, own_precision

TOLERANCE = {"fp32": (1e-5, 1e-5), "short": (1e-3, 0.1), "bf16": (0.3, 0.5), "fp16": (0.3, 0.5)}
"""Largest relative errors of logits and of input gradients on the probe batch; 16 bits only propose and may be coarse.

Rounding may carry a few ReLUs over their kinks, which moves gradients, on the short way in float32.
"""

Look = Callable[[Tensor], Tensor]
LAYOUTS = (torch.channels_last, torch.contiguous_format)
"""Of images in memory: the faster one, and the one that every model can take."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Showing:
    """How a view is shown images."""

    layout: torch.memory_format = LAYOUTS[0]
    copied: bool = False
    """For models that write into the images that they are shown."""

    def __call__(self, look: Look, images: Tensor) -> Tensor:
        """Float32 logits."""
        if self.copied:
            images = images.clone(memory_format=self._format(images))
        elif images.ndim == 4:
            images = images.contiguous(memory_format=self.layout)
        return logits_of(look(images)).float()

    def of(self, view: nn.Module) -> Look:
        """The view, shown images in this way."""
        return lambda images: self(view, images)

    def again(self, view: nn.Module, images: Tensor) -> tuple[Tensor, bool]:
        """Logits without a graph, and whether the images are what they were after the view has seen them."""
        shown = images.clone(memory_format=self._format(images))
        with torch.no_grad():
            logits = self(view, shown)
        return logits, torch.equal(shown, images)

    def _format(self, images: Tensor) -> torch.memory_format:
        return self.layout if images.ndim == 4 else torch.contiguous_format


class Disagreement(ValueError):
    """The view is another function than its model."""


def check(model: nn.Module, view: nn.Module, probe: Tensor, precision: str, showing: Showing) -> None:
    """Logits and input gradients on the probe batch, which the view has to leave as it is."""
    try:
        expected, given = answers(PlainView(model), probe), answers(showing.of(view), probe)
        again, kept = showing.again(view, probe)
    except Exception as problem:
        raise Disagreement(f"its {precision} view cannot be checked ({first_line(problem)})") from None
    if not kept:
        raise Disagreement("the model changes the images that it is shown")
    names, allowed = ("logits", "input gradients"), TOLERANCE[precision]
    if not _error(again, given[0]) <= allowed[0]:
        raise Disagreement("its answers are others when it is asked again (is there noise, or a memory, in it?)")
    for name, ours, theirs, most in zip(names, given, expected, allowed, strict=True):
        error = _error(ours, theirs)
        if not error <= most:
            raise Disagreement(f"{name} of its {precision} view are off by {error:.1e} (at most {most:g})")


def _error(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).norm() / theirs.norm().clamp_min(torch.finfo(theirs.dtype).tiny))


def answers(look: Look, probe: Tensor) -> tuple[Tensor, Tensor]:
    """Logits, and the gradient of a sum of them."""
    leaf = probe.detach().clone().requires_grad_()
    with torch.enable_grad():
        logits = look(leaf)
        # A direction that no class is left out of, and that no symmetry between classes cancels.
        weight = torch.linspace(-1, 1, logits.shape[1], dtype=logits.dtype, device=logits.device)
        if not logits.requires_grad:
            return logits, torch.zeros_like(leaf)
        (gradient,) = torch.autograd.grad((logits * weight).sum(), leaf)
    return logits.detach(), gradient


def writes_into(model: nn.Module, probe: Tensor) -> bool:
    """Whether the model leaves other images behind than it was shown."""
    images = probe.to(own_precision(model) or probe.dtype)
    shown = images.clone()
    try:
        with torch.no_grad():
            model(shown)
    except Exception:  # of any kind: what does not run will not be used either
        return False
    return not torch.equal(shown, images)


def roughened(probe: Tensor) -> Tensor:
    """Half noise, because in flat areas max-pooling meets ties, which two arrangements may break differently."""
    noise = torch.rand(probe.shape, generator=seeded(0), dtype=probe.dtype)
    return torch.lerp(probe, noise.to(probe.device), 0.5)
