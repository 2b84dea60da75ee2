"""Attacks as a textbook writes them, on the model as it is: what every faster way is held against."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from robustcnn.attacks import APGD, FGSM, PGD, craft
from robustcnn.attacks.craft import prepare
from robustcnn.core.runtime import evaluating
from robustcnn.core.threat import ThreatModel
from robustcnn.fast.view import FastView

STEPS = 3


@dataclass(frozen=True, kw_only=True)
class Outcome:
    is_fast: bool
    """Whether a fast view agreed with the model."""
    said: str
    """What its user was told."""
    gain: float
    """How many times as much CPU time the textbook's steps took."""


def logits(model: nn.Module, images: Tensor, dtype: torch.dtype) -> Tensor:
    """The model's, shown a copy of its own."""
    answer: Any = model(images.to(dtype).clone())
    if isinstance(answer, dict):
        answer = answer["logits"]
    return (answer[0] if isinstance(answer, tuple) else answer).float()


def slope(model: nn.Module, images: Tensor, labels: Tensor, dtype: torch.dtype) -> Tensor:
    leaf = images.clone().requires_grad_()
    F.cross_entropy(logits(model, leaf, dtype), labels, reduction="sum").backward()
    assert leaf.grad is not None
    return leaf.grad


def climb(
    model: nn.Module, images: Tensor, labels: Tensor, dtype: torch.dtype, *, eps: float, steps: int, size: float
) -> Tensor:
    """Signs of the gradient, from the images themselves; the last iterate."""
    adversarial = images
    for _ in range(steps):
        adversarial = step(adversarial, slope(model, adversarial, labels, dtype), images, eps=eps, size=size)
    return adversarial


def step(adversarial: Tensor, gradient: Tensor, images: Tensor, *, eps: float, size: float) -> Tensor:
    stepped = adversarial + size * gradient.sign()
    return torch.minimum(torch.maximum(stepped, images - eps), images + eps).clamp(0, 1)


def fitting_eps(gradient: Tensor) -> float:
    """A radius within which the loss changes by about 1: much further, deep networks with fresh weights are chaotic."""
    reach = gradient.abs().flatten(1).sum(1).mean().item()
    return min(max(1 / max(reach, 1e-9), 1e-6), 0.01)


def compare(
    model: nn.Module, images: Tensor, *, eps: float | None = None, dtype: torch.dtype = torch.float32
) -> Outcome:
    """Attack it our way and the textbook's.

    Both end at pictures of the same loss, and after one step all pixels agree but those whose gradient is zero but for
    rounding, where another order of sums turns its sign.
    """
    with evaluating(model):
        with torch.no_grad():
            labels = logits(model, images, dtype).argmax(1)
        gradient = slope(model, images, labels, dtype)
    eps = fitting_eps(gradient) if eps is None else eps
    threat = ThreatModel(norm="linf", eps=eps)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        view = prepare(model, images, labels)
    single = craft(FGSM(), view, images, labels, threat)
    start = time.process_time()
    several = craft(PGD(steps=STEPS, step_size=eps / 2, random_start=False, stop=False), view, images, labels, threat)
    ours_took = time.process_time() - start
    adaptive = craft(APGD(steps=5, stop=False), view, images, labels, threat)
    with evaluating(model):
        theirs = step(images, gradient, images, eps=eps, size=eps)
        start = time.process_time()
        climbed = climb(model, images, labels, dtype, eps=eps, steps=STEPS, size=eps / 2)
        theirs_took = time.process_time() - start
        with torch.no_grad():
            ours_end, theirs_end, one_step, apgd_end = (
                loss(model, each, labels, dtype) for each in (several, climbed, single, adaptive)
            )
    assert_same(single, theirs, gradient.abs())
    # A turned sign at the first step is another picture at the second, and deep networks with fresh weights are
    # chaotic: what counts is that nearly all are as bad.
    as_bad = as_close(ours_end, theirs_end)
    if as_bad < 0.8:
        # The textbook's own loop ends elsewhere when the same pictures lie otherwise in memory.
        turned = images.contiguous(memory_format=torch.channels_last)
        with evaluating(model):
            elsewhere = climb(model, turned, labels, dtype, eps=eps, steps=STEPS, size=eps / 2)
            with torch.no_grad():
                as_bad = as_close(ours_end, loss(model, elsewhere, labels, dtype))
    assert as_bad >= 0.8, f"only {as_bad:.0%} of the images end at the same loss"
    # Half of them: on a chaotic network the luck of its start decides where AutoPGD ends.
    assert (apgd_end >= 0.9 * one_step - 1e-3).float().mean() >= 0.5, "APGD climbs less than one step"
    said = "; ".join(str(each.message) for each in caught if "plain model" in str(each.message))
    return Outcome(is_fast=isinstance(view, FastView), said=said, gain=theirs_took / ours_took)


def as_close(ours: Tensor, theirs: Tensor) -> float:
    """Share of the images whose losses agree."""
    return float(torch.isclose(ours, theirs, rtol=0.05, atol=0.02).float().mean())


def loss(model: nn.Module, images: Tensor, labels: Tensor, dtype: torch.dtype) -> Tensor:
    return F.cross_entropy(logits(model, images, dtype), labels, reduction="none")


def assert_same(ours: Tensor, theirs: Tensor, weight: Tensor) -> None:
    """But for pixels whose gradients sum up to next to nothing."""
    share = (weight * ((ours - theirs).abs() > (ours - theirs).abs().max() / 100)).sum() / weight.sum()
    assert torch.equal(ours, theirs) or share <= 0.02, f"pixels with {share:.2%} of the gradient differ"
