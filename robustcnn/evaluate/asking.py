"""Attacks on victims that can only be asked, with the number of questions that each success took."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from robustcnn.attacks.base import Attack
from robustcnn.attacks.black_box import BlackBoxView, QueryCounter, Success
from robustcnn.attacks.craft import craft
from robustcnn.attacks.foolbox_adapter import Foolbox
from robustcnn.core.threat import ThreatModel


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Asked:
    """What a search found, and what it cost."""

    images: Tensor
    queries: Tensor
    """Questions (N,) up to the first success; minus their number where there was none."""


def search(
    attack: Attack, view: BlackBoxView, images: Tensor, labels: Tensor, threat: ThreatModel, generator: torch.Generator
) -> Asked:
    """One image after the other where nobody could tell whose question a question is, else all together."""
    if not isinstance(attack, Foolbox):
        return _search(attack, view, images, labels, threat, generator, stop=False)
    rows = torch.arange(len(images), device=images.device).split(1)
    each = [_search(attack, view, images[row], labels[row], threat, generator, stop=True) for row in rows]
    return Asked(images=torch.cat([one.images for one in each]), queries=torch.cat([one.queries for one in each]))


def _search(
    attack: Attack,
    view: BlackBoxView,
    images: Tensor,
    labels: Tensor,
    threat: ThreatModel,
    generator: torch.Generator,
    *,
    stop: bool,
) -> Asked:
    counter = QueryCounter(view, images, labels, threat, stop=stop)
    try:
        found = craft(attack, counter, images, labels, threat, generator=generator)
    except Success as success:
        found = success.image
    broken = counter.broken_after
    return Asked(images=found, queries=torch.where(broken > 0, broken, -counter.asked).cpu())
