"""The decision boundary as a plane: its normal and how far the logits are from it."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from robustcnn.attacks.base import chunk_of, input_gradient
from robustcnn.core.norms.batched import per_example
from robustcnn.core.threat import ThreatModel


class Plane(NamedTuple):
    """z lies on the linearised boundary of an image x where <normal, z - x> = gap."""

    normal: Tensor
    """Shaped like the images; it points towards the other class."""
    gap: Tensor
    """Per example (N,): the label's logit minus the other's, negative once the other wins."""


def towards(model: nn.Module, images: Tensor, labels: Tensor, targets: Tensor) -> Plane:
    """The boundary between each label and its target (N,)."""

    def lead(logits: Tensor, part: slice) -> Tensor:
        return (logits.gather(1, targets[part, None]) - logits.gather(1, labels[part, None])).squeeze(1)

    look = input_gradient(model, images, lead)
    return Plane(look.gradient, -look.loss)


def check_differentiable(model: nn.Module, images: Tensor) -> None:
    """Refuse, in plain words, a model without a gradient."""
    input_gradient(model, images[:1], lambda logits, _: logits.sum(1))


def nearest(model: nn.Module, images: Tensor, labels: Tensor, threat: ThreatModel, *, candidates: int) -> Plane:
    """Of the boundaries with the `candidates` likeliest other classes, the one with the least linear distance."""
    if candidates < 1:
        raise ValueError(f"candidates must be at least 1, got {candidates}")
    # A graph that is kept for one gradient a class holds as much memory as the images seen together need.
    size = chunk_of(model, len(images))
    parts = zip(images.split(size), labels.split(size), strict=True)
    planes = [_nearest(model, some, theirs, threat, candidates) for some, theirs in parts]
    return planes[0] if len(planes) == 1 else Plane(*(torch.cat(part) for part in zip(*planes, strict=True)))


def _nearest(model: nn.Module, images: Tensor, labels: Tensor, threat: ThreatModel, candidates: int) -> Plane:
    leaf = images.detach().requires_grad_()
    with torch.enable_grad():
        logits = model(leaf)
        others = rivals(logits.detach(), labels, candidates)
        leads = (logits.gather(1, others) - logits.gather(1, labels[:, None])).unbind(1)
    best = Plane(torch.zeros_like(images), torch.zeros_like(leads[0], requires_grad=False))
    least = torch.full_like(leads[0], torch.inf, requires_grad=False)
    for lead in leads:
        (gradient,) = torch.autograd.grad(lead, leaf, torch.ones_like(lead), retain_graph=lead is not leads[-1])
        plane = Plane(torch.nan_to_num(gradient, nan=0.0), -lead.detach())
        distance = _distance(plane, threat)
        nearer = distance < least
        least = torch.where(nearer, distance, least)
        best = _pick(nearer, plane, best)
    return best


def nearest_targets(
    model: nn.Module, images: Tensor, labels: Tensor, threat: ThreatModel, *, count: int, candidates: int
) -> Tensor:
    """Of the likeliest wrong classes, the `count` (N, count) whose linearised boundaries are nearest, nearest first."""
    with torch.no_grad():
        others = rivals(model(images), labels, candidates)
    if others.shape[1] <= 1:
        return others
    distances = torch.stack([_distance(towards(model, images, labels, each), threat) for each in others.unbind(1)], 1)
    order = distances.argsort(dim=1, stable=True)
    return others.gather(1, order[:, :count])


def _distance(plane: Plane, threat: ThreatModel) -> Tensor:
    length = threat.dual(plane.normal).to(plane.gap.dtype)
    # A class whose logit does not move with the image cannot be reached.
    return torch.where(length > 0, plane.gap.abs() / length, torch.inf)


def rivals(logits: Tensor, labels: Tensor, count: int) -> Tensor:
    """The indices (N, count) of the likeliest classes that are not the label, likeliest first; fewer if there are."""
    others = logits.scatter(1, labels[:, None], -torch.inf)
    return others.topk(min(count, logits.shape[1] - 1), dim=1).indices


def _pick(chosen: Tensor, yes: Plane, no: Plane) -> Plane:
    return Plane(
        torch.where(per_example(chosen, yes.normal), yes.normal, no.normal), torch.where(chosen, yes.gap, no.gap)
    )
