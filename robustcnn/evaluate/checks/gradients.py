"""Is the input gradient worth following: finite, not zero, and what the model really does nearby?"""

from __future__ import annotations

import copy
from typing import NamedTuple

import torch
from torch import Tensor, nn

from robustcnn.attacks import CornerNoise
from robustcnn.core.losses import log_odds
from robustcnn.core.results import Finding, Share
from robustcnn.core.runtime import evaluating, global_seed, seeded
from robustcnn.data import ResidentDataset
from robustcnn.evaluate.checks.bench import FEW, Bench, finding, some

EXAMPLES = 32
"""Looked at together, or at all where one gradient an example does not do."""
SOME = 0.1
"""What kinks may do to a share of the pixels or examples of a healthy network."""
HAIR = 1e-3
"""A quarter of a grey level: too small a change for anything to depend on it."""
DIRECTIONS = 4


def finite(bench: Bench) -> Finding:
    """No gradient holds nan or inf, which attacks have to take for no slope."""
    broken = _share(~_slopes(bench).isfinite().flatten(1).all(1))
    return finding(
        "finite gradients",
        f"the gradients of {broken.hits} of {broken.count} images hold nan or inf",
        figure=broken.value,
        trouble="fail" if broken.hits else None,
        cure="gradient attacks stand still there; look for sqrt, log or a division at 0 in the model",
    )


def not_vanishing(bench: Bench) -> Finding:
    """The log-odds, which cannot round away as cross-entropy does, have a slope at nearly every image."""
    zero = _share((_slopes(bench) == 0).flatten(1).all(1))
    return finding(
        "vanishing gradients",
        f"the gradients of {zero.hits} of {zero.count} images are exactly zero",
        figure=zero.value,
        trouble="fail" if zero.low > FEW else None,
        cure="gradient attacks stand still there; put smooth layers in place of steps (sign, rounding), return logits, "
        "or believe black-box attacks (Square) only",
    )


def not_clipped(bench: Bench) -> Finding:
    """No slope is switched off exactly at the bounds of a pixel, as a clamp inside the model does."""
    low, high = bench.threat.bounds
    data = _few(bench)
    # Attacks go to the bounds: what counts are the pixels that a change of their size puts there.
    images = CornerNoise()(bench.model, data.images, data.labels, bench.threat)
    at_bound = (images == low) | (images == high)
    there, inside = (
        _gradients(bench.model, each, data.labels, seed=bench.seed)
        for each in (images, images.clamp(low + HAIR, high - HAIR))
    )
    off = Share.of(int((at_bound & (there == 0) & (inside != 0)).sum()), int(at_bound.sum()))
    return finding(
        "gradients at the bounds",
        f"of {off.count:,} pixels at {low:g} or {high:g}, {off.hits:,} have a slope only a hair further inside",
        figure=off.value,
        trouble="fail" if off.low > SOME else None,
        tried=off.count,
        cure="the model clips its input, which holds gradient attacks fast at the bounds; take the clipping out, "
        "pixels never leave the bounds here",
    )


def not_shattered(bench: Bench) -> Finding:
    """The gradient foretells central differences along random directions (Athalye et al. 2018 on those that do not)."""
    data = _few(bench)
    generator = seeded(bench.seed)
    noise = torch.rand(data.images.shape, generator=generator).to(data.images)
    directions = torch.randn(DIRECTIONS, *noise.shape, generator=generator).to(data.images)
    # Flat areas make max-pooling meet ties, where every network has a kink.
    probe = _probe(bench.model, torch.lerp(data.images, noise, 0.1))
    foretold = (_gradients(probe.model, probe.images, data.labels, seed=bench.seed) * directions).flatten(2).sum(2)
    up, down = (
        torch.stack([_loss(probe, step * each, data.labels, bench.seed) for each in directions])
        for step in (probe.step, -probe.step)
    )
    seen = (up - down) / (2 * probe.step)
    error = (foretold - seen).norm(dim=0)
    wrong = error > foretold.norm(dim=0).maximum(seen.norm(dim=0)) / 2
    share = _share(wrong)
    return finding(
        "shattered gradients",
        f"the gradients of {share.hits} of {share.count} images do not say how the loss changes nearby",
        figure=share.value,
        trouble="fail" if share.low > SOME else None,
        cure="they lead attacks astray; look for rounding, random numbers or a made-up backward pass in the model, and "
        "believe black-box attacks (Square) only",
    )


class _Probe(NamedTuple):
    model: nn.Module
    images: Tensor
    step: float
    """Per pixel: so short that kinks of ReLUs are rarely passed, so long that rounding stays far below."""


def _probe(model: nn.Module, images: Tensor) -> _Probe:
    """In float64 where the model can be brought to it."""
    try:
        exact = copy.deepcopy(model).double()
        with torch.no_grad(), evaluating(exact):
            exact(images[:1].double())
    except Exception:  # of any kind: models say in many ways that they live in float32
        return _Probe(model, images, 1e-3)
    return _Probe(exact, images.double(), 1e-5)


@torch.no_grad()
def _loss(probe: _Probe, change: Tensor, labels: Tensor, seed: int) -> Tensor:
    # The same random numbers each time, for models that draw some.
    with evaluating(probe.model), global_seed(seed):
        return log_odds(probe.model(probe.images + change), labels)


def _few(bench: Bench) -> ResidentDataset:
    return bench.data.subset(some(torch.arange(len(bench.data)), EXAMPLES))


def _share(chosen: Tensor) -> Share:
    return Share.of(int(chosen.sum()), len(chosen))


def _slopes(bench: Bench) -> Tensor:
    parts = zip(bench.data.images.split(EXAMPLES), bench.data.labels.split(EXAMPLES), strict=True)
    return torch.cat([_gradients(bench.model, *part, seed=bench.seed) for part in parts])


def _gradients(model: nn.Module, images: Tensor, labels: Tensor, *, seed: int) -> Tensor:
    """Of the log-odds, just as autograd gives them: attacks get theirs tidied up."""
    leaf = images.detach().requires_grad_()
    with torch.enable_grad(), evaluating(model), global_seed(seed):
        (gradient,) = torch.autograd.grad(log_odds(model(leaf), labels).sum(), leaf)
    return gradient
