"""One attack's answers for some examples, and what they are worth: nothing that the attack says is taken on trust."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from robustcnn.attacks.base import Attack
from robustcnn.attacks.black_box import BlackBoxView
from robustcnn.attacks.craft import craft
from robustcnn.core.losses import is_right
from robustcnn.core.norms.batched import per_example
from robustcnn.core.runtime import global_seed, seeded
from robustcnn.core.snapshots import begin, kept_in
from robustcnn.core.threat import ThreatModel
from robustcnn.data import ResidentDataset
from robustcnn.data.resident import as_pixels
from robustcnn.evaluate.asking import search
from robustcnn.evaluate.predict import predict

SLACK = 1e-4
"""By how much of eps a picture of bytes may seem to leave the ball: originals are rounded to float32."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Tries:
    """What an attack found for some examples, as the judge sees it; on the CPU."""

    images: Tensor
    """Float32, inside the ball."""
    logits: Tensor
    """The plain model's, in float32."""
    kept: Tensor
    """Which are wrong, and still wrong as pictures of bytes."""
    queries: Tensor | None = None
    """Of a black box: questions (N,) up to the first success, minus their number where there was none."""
    seconds: float
    """The attack's own."""


def attempt(
    attack: Attack, model: nn.Module, view: nn.Module, examples: ResidentDataset, threat: ThreatModel, *, seed: int
) -> Tries:
    """Attack the examples by way of the `view`, then look at the answers with the model itself."""
    start = time.perf_counter()
    originals = as_pixels(examples.images)
    generator = seeded(seed, examples.device)
    with global_seed(seed), named(attack, threat):
        found, queries = _searched(attack, view, originals, examples.labels, threat, generator)
        # What has come back from a GPU has been waited for.
        found = _inside(found.cpu(), originals.cpu(), threat)
        seconds = time.perf_counter() - start
        logits = _judged(model, examples, found)
        wrong = ~is_right(logits, examples.labels.cpu())
        kept = torch.zeros_like(wrong)
        if wrong.any():
            kept[wrong] = _still_wrong(model, examples.subset(wrong.nonzero().flatten()), found[wrong], threat)
    return Tries(images=found, logits=logits, kept=kept, seconds=seconds, queries=queries)


def _searched(
    attack: Attack, view: nn.Module, images: Tensor, labels: Tensor, threat: ThreatModel, generator: torch.Generator
) -> tuple[Tensor, Tensor | None]:
    if isinstance(view, BlackBoxView):
        with kept_in(None):
            # What a question cost is counted once; a search of questions begins anew.
            asked = search(attack, view, images, labels, threat, generator)
        return asked.images, asked.queries
    begin(generator)
    return craft(attack, view, images, labels, threat, generator=generator), None


@contextmanager
def named(attack: Attack, threat: ThreatModel) -> Iterator[None]:
    """Whatever the attack refuses inside the block, it is said which attack it was and where."""
    try:
        yield
    except ValueError as problem:
        raise ValueError(f"{attack!r} in {threat}: {problem}") from problem


def _inside(found: Tensor, originals: Tensor, threat: ThreatModel) -> Tensor:
    if found.shape != originals.shape:
        raise ValueError(f"an attack must return images {tuple(originals.shape)}, got {tuple(found.shape)}")
    found = found.detach().to(originals.dtype)
    # A pixel that is no number is no change.
    return threat.project(torch.where(found.isfinite(), found, originals), originals)


def _judged(model: nn.Module, examples: ResidentDataset, images: Tensor) -> Tensor:
    return predict(model, replace(examples, images=images.to(examples.device))).cpu()


def _still_wrong(model: nn.Module, examples: ResidentDataset, found: Tensor, threat: ThreatModel) -> Tensor:
    saved, inside = as_bytes(found, as_pixels(examples.images).cpu(), threat)
    return inside & ~is_right(_judged(model, examples, saved), examples.labels.cpu())


def as_bytes(found: Tensor, originals: Tensor, threat: ThreatModel) -> tuple[Tensor, Tensor]:
    """The images as a file of bytes would hold them, and which of these are in the ball.

    Every pixel goes to the nearest of 256 levels; in an image that leaves the ball by that, to the next level towards
    the original instead, which suffices where the original has levels too.
    """
    levels, originals = 255 * found.double(), originals.double()
    nearest = levels.round() / 255
    # What is a level but for float32's rounding stays where it is.
    towards = torch.where(found > originals, (levels + SLACK).floor(), (levels - SLACK).ceil()) / 255
    saved = torch.where(per_example(_within(nearest, originals, threat), nearest), nearest, towards)
    return saved.float(), _within(saved, originals, threat)


def _within(images: Tensor, originals: Tensor, threat: ThreatModel) -> Tensor:
    return threat.distance(images, originals) <= threat.eps * (1 + SLACK)
