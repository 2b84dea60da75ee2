"""What a network looks at: feature maps, saliency, Grad-CAM, and pictures that excite a unit most."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from robustcnn.core.runtime import evaluating, frozen_weights, seeded


def convolutions(model: nn.Module) -> dict[str, nn.Conv2d]:
    """All convolutions by name, in the order in which they were made."""
    return {name: module for name, module in model.named_modules() if isinstance(module, nn.Conv2d)}


def feature_maps(model: nn.Module, images: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
    """What each named layer answers, (N, C, H, W)."""
    with evaluating(model), torch.no_grad(), _answers(model, layers) as found:
        model(images)
        return dict(found)


def saliency(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Gradient of the label's logit with respect to the pixels, signs included (Simonyan et al. 2014)."""
    leaf = images.detach().clone().requires_grad_()
    with evaluating(model), frozen_weights(model), torch.enable_grad():
        chosen = model(leaf).gather(1, labels[:, None]).sum()
        return torch.autograd.grad(chosen, leaf)[0]


def grad_cam(model: nn.Module, images: Tensor, labels: Tensor, layer: str) -> Tensor:
    """Where a layer speaks for the label, (N, 1, H, W) in [0, 1] at the images' size (Selvaraju et al. 2017).

    Maps weighted by the mean gradient of the label's logit, their positive part, each picture on its own scale.
    """
    # The layer must be differentiable itself, so the image asks for a gradient and the weights do not.
    leaf = images.detach().clone().requires_grad_()
    with evaluating(model), frozen_weights(model), torch.enable_grad(), _answers(model, [layer]) as found:
        chosen = model(leaf).gather(1, labels[:, None]).sum()
        maps = found[layer]
        (slope,) = torch.autograd.grad(chosen, maps)
    heat = (maps * slope.mean((2, 3), keepdim=True)).sum(1, keepdim=True).clamp_min(0).detach()
    heat = heat / heat.amax((1, 2, 3), keepdim=True).clamp_min(1e-12)
    return F.interpolate(heat, images.shape[2:], mode="bilinear", align_corners=False)


def maximise_units(
    model: nn.Module,
    shape: tuple[int, int, int],
    units: Sequence[int],
    *,
    layer: str | None = None,
    steps: int = 100,
    rate: float = 0.05,
    smooth: float = 0.5,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Pictures (len(units), C, H, W) in [0, 1] that excite a unit most: a class, or a map of a layer (its mean).

    Steepest ascent from dim noise, with a blur and a shift of a pixel or two between the steps, without which the
    outcome is as noisy as a plain gradient. `smooth` is the blur's standard deviation in pixels.
    """
    generator = seeded(0) if generator is None else generator
    images = 0.5 + 0.1 * torch.randn(len(units), *shape, generator=generator)
    wanted = torch.tensor(list(units))
    with evaluating(model), frozen_weights(model):
        for _ in range(steps):
            down, across = torch.randint(-2, 3, (2,), generator=generator).tolist()
            leaf = images.roll((down, across), (2, 3)).requires_grad_()
            with torch.enable_grad(), _answers(model, [layer] if layer else []) as found:
                logits = model(leaf)
                answers = found[layer].mean((2, 3)) if layer else logits
                (slope,) = torch.autograd.grad(answers.gather(1, wanted[:, None]).sum(), leaf)
            slope = slope.roll((-down, -across), (2, 3))
            slope = slope / slope.flatten(1).norm(dim=1).clamp_min(1e-12)[:, None, None, None]
            images = _blurred(images + rate * slope * shape[1], smooth).clamp(0, 1).detach()
    return images


def shown(signed: Tensor) -> Tensor:
    """Numbers of either sign as pixels: grey is none, each picture on its own scale."""
    largest = signed.abs().amax((1, 2, 3), keepdim=True).clamp_min(1e-12)
    return 0.5 + 0.5 * signed / largest


@contextmanager
def _answers(model: nn.Module, layers: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """Fills with each layer's answer as soon as the model has run."""
    modules, found = dict(model.named_modules()), dict[str, Tensor]()
    if unknown := [name for name in layers if name not in modules]:
        known = ", ".join(convolutions(model)) or "none"
        raise ValueError(f"layer {unknown[0]!r} is not in the model; its convolutions: {known}")
    hooks = [
        modules[name].register_forward_hook(lambda _, __, answer, name=name: found.update({name: answer}))
        for name in layers
    ]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


def _blurred(images: Tensor, deviation: float) -> Tensor:
    """Gaussian over 3x3 pixels."""
    side = torch.exp(-torch.tensor([1.0, 0.0, 1.0]) / (2 * deviation**2)) if deviation else torch.tensor([0.0, 1, 0])
    side = side / side.sum()
    kernel = (side[:, None] * side).expand(images.shape[1], 1, 3, 3)
    return F.conv2d(F.pad(images, (1, 1, 1, 1), mode="replicate"), kernel, groups=images.shape[1])
