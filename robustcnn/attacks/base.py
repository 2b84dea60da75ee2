"""What every attack is, and what happens round each of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import fields
from typing import Any, ClassVar, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from robustcnn.core.fused import fusing
from robustcnn.core.losses import LossName, attack_loss, is_right, loss_and_slope
from robustcnn.core.runtime import evaluating, frozen_weights, seeded
from robustcnn.core.threat import PerExample, ThreatModel
from robustcnn.fast.plain_view import View, cure, plain_view


class Attack(Protocol):
    """Images (N, ...) in [0, 1] and labels (N,) in, images inside the threat's ball out."""

    def __call__(
        self,
        model: nn.Module,
        images: Tensor,
        labels: Tensor,
        threat: ThreatModel,
        *,
        generator: torch.Generator | None = None,
    ) -> Tensor: ...


class Guarded(ABC):
    """An attack that only has to `search`: what comes in is checked, and what is changed is put back.

    A training loop that vouches for its batches, and keeps the model in evaluation mode with frozen weights itself,
    may call `search` directly.
    """

    __slots__ = ()

    ends_at_boundary: ClassVar[bool] = False
    """Whether an answer is always the first, or the nearest, image found to fool."""

    @property
    def takes_eps_each(self) -> bool:
        """Whether the threat's eps may be one for each example."""
        return False

    def __call__(
        self,
        model: nn.Module,
        images: Tensor,
        labels: Tensor,
        threat: ThreatModel,
        *,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        check_batch(images, labels, threat)
        model = plain_view(model)
        with (
            # Tensors made under inference_mode can never be differentiated, not even after it.
            torch.inference_mode(False),
            torch.no_grad(),
            evaluating(model),
            frozen_weights(model),
            # With the model compiled, the attack's own arithmetic is worth compiling too.
            fusing(model.compiled),
        ):
            images, labels = outside_inference(images), outside_inference(labels)
            if not len(images) or threat.is_nothing:
                return images.clone()
            check_classes(model(images[:1]), labels)
            generator = seeded(0, images.device) if generator is None else generator
            return threat.project(self.search(model, images, labels, threat, generator), images)

    @property
    def stops_when_fooled(self) -> bool:
        """Whether an example is left where it first fools, just past the boundary: such examples hardly transfer."""
        return self.ends_at_boundary or bool(getattr(self, "stop", False))

    @abstractmethod
    def search(
        self, model: nn.Module, images: Tensor, labels: Tensor, threat: ThreatModel, generator: torch.Generator
    ) -> Tensor:
        """The attack itself, called with gradients off, the model in evaluation mode and its weights frozen."""

    def __repr__(self) -> str:
        """The name, and the fields that differ from their defaults: short enough for a table."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]
        usual = {field.name: field.default for field in fields(self)}  # type: ignore[arg-type]
        shown = (f"{name}={value!r}" for name, value in values.items() if value != usual[name])
        return f"{type(self).__name__}({', '.join(shown)})"


def attack_each(
    attack: Attack,
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    threat: ThreatModel,
    *,
    generator: torch.Generator | None = None,
) -> Tensor:
    """The attack's answer, radius by radius where the threat has one for each example and the attack takes but one."""
    if not isinstance(threat, PerExample) or getattr(attack, "takes_eps_each", False):
        return attack(model, images, labels, threat, generator=generator)
    found = images.clone()
    for eps in threat.eps.unique():
        rows = (threat.eps == eps).nonzero().flatten()
        ball = ThreatModel(norm=threat.norm, eps=float(eps), bounds=threat.bounds)
        found[rows] = attack(model, images[rows], labels[rows], ball, generator=generator)
    return found


def outside_inference(tensor: Tensor) -> Tensor:
    """The same values, free of any graph and fit to be differentiated."""
    return tensor.clone() if tensor.is_inference() else tensor.detach()


def check_batch(images: Tensor, labels: Tensor, threat: ThreatModel) -> None:
    """Refuse what no attack can work on."""
    low, high = threat.bounds
    if not images.is_floating_point():
        raise ValueError(f"images must be float pixels in [{low:g}, {high:g}], got {images.dtype} (divide by 255)")
    if images.ndim < 2 or labels.shape != images.shape[:1] or labels.dtype != torch.int64:
        raise ValueError(
            f"labels must be int64 of shape (N,) for images (N, ...), got {labels.dtype} {tuple(labels.shape)} "
            f"for images {tuple(images.shape)}"
        )
    if labels.device != images.device:
        raise ValueError(f"labels are on {labels.device}, images on {images.device}: use labels.to(images.device)")
    threat.check_examples(len(images))
    if not len(images):
        return
    least, most = torch.stack(images.aminmax()).tolist()
    # Written so that NaN fails too.
    if not (least >= low and most <= high):
        cure = "divide by 255" if low <= least and 1 < most <= 255 else "leave normalisation to the model"
        raise ValueError(f"images must lie in [{low:g}, {high:g}], got values in [{least:.4g}, {most:.4g}] ({cure})")


def check_classes(logits: Tensor, labels: Tensor) -> None:
    """Refuse labels that the model has no logit for."""
    if logits.ndim != 2 or logits.shape[1] < 2:
        raise ValueError(
            f"model must return logits (N, K) with K >= 2, got {tuple(logits.shape)} for one image{cure(logits)}"
        )
    least, most = torch.stack(labels.aminmax()).tolist()
    if least < 0 or most >= logits.shape[1]:
        raise ValueError(
            f"labels must lie in 0..{logits.shape[1] - 1}, one of the model's {logits.shape[1]} classes, "
            f"got {least}..{most}"
        )


def check_euclidean(attack: str, threat: ThreatModel) -> None:
    """Refuse a norm whose geometry this attack does not know."""
    if threat.geometry.order != 2:
        raise ValueError(f"{attack} knows l2, got {threat.norm} (use FMN or FAB)")


class Slope(NamedTuple):
    """One look at the model: what it says of the images, and the way up."""

    loss: Tensor
    """Per example (N,)."""
    logits: Tensor
    gradient: Tensor
    """Of the summed loss, shaped like the images; what is not a number counts as no slope."""


RowLoss = Callable[[Tensor, slice], Tensor | tuple[Tensor, Tensor]]
"""Of the logits of some of the examples, and which of them these are: one value an example.

With the values may come their derivatives by the logits, which then need not be looked for in a graph.
"""


def climbed(name: LossName, labels: Tensor, targets: Tensor | None) -> RowLoss:
    """The loss of this name for examples with these labels, or towards these targets."""

    def loss(logits: Tensor, part: slice) -> Tensor | tuple[Tensor, Tensor]:
        aims = None if targets is None else targets[part]
        closed = loss_and_slope(name, logits.detach(), labels[part], aims)
        return attack_loss(name, logits, labels[part], aims) if closed is None else closed

    return loss


def chunk_of(model: object, count: int) -> int:
    """How many of `count` images are looked at together: fast views know, others take all."""
    return (model.chunk if isinstance(model, View) else None) or max(count, 1)


def input_gradient(
    model: Callable[[Tensor], Tensor], images: Tensor, loss: RowLoss, *, draws: int = 1, chunk: int | None = None
) -> Slope:
    """Loss of the logits, one an example, and its gradient with respect to the images alone.

    More than one of the `draws` is for models that draw random numbers (Athalye et al. 2018): the mean of all is given.
    A `chunk` is how many images are looked at together; fast views know theirs.
    """
    size = chunk or chunk_of(model, len(images))
    rows = [slice(start, min(start + size, len(images))) for start in range(0, len(images), size)]
    slopes = [_slope(model, images, loss, rows) for _ in range(draws)]
    return slopes[0] if draws == 1 else Slope(*(torch.stack(part).mean(0) for part in zip(*slopes, strict=True)))


def _slope(model: Callable[[Tensor], Tensor], images: Tensor, loss: RowLoss, rows: list[slice]) -> Slope:
    if len(rows) == 1:
        return _slope_of(model, images, loss, rows[0])
    return Slope(
        *(torch.cat(part) for part in zip(*(_slope_of(model, images, loss, each) for each in rows), strict=True))
    )


def _slope_of(model: Callable[[Tensor], Tensor], images: Tensor, loss: RowLoss, rows: slice) -> Slope:
    leaf = images[rows].detach().requires_grad_()
    with torch.enable_grad():
        logits = model(leaf)
        found = loss(logits, rows)
        # A number, because torch spends half a second on what it needs to look at weights of its own.
        values, climbed = (
            (found[0], _Known.apply(logits, found[1])) if isinstance(found, tuple) else (found, found.sum())
        )
    gradient = _gradient(climbed, leaf)
    most = torch.finfo(gradient.dtype).max / 4
    return Slope(values.detach(), logits.detach(), torch.nan_to_num(gradient, nan=0.0, posinf=most, neginf=-most))


class _Known(torch.autograd.Function):
    """A number, never set, whose derivative by the logits is the given one: a product and its sum need not be made."""

    @staticmethod
    def forward(context: Any, logits: Tensor, slope: Tensor) -> Tensor:
        context.save_for_backward(slope)
        return logits.new_empty(())

    @staticmethod
    def backward(context: Any, _: Tensor) -> tuple[Tensor, None]:
        (slope,) = context.saved_tensors
        return slope, None


def _gradient(value: Tensor, leaf: Tensor) -> Tensor:
    refusal = (
        "the model cannot be differentiated with respect to its input, so that gradient attacks do not apply: "
        "use the black-box attacks (Square, noise)"
    )
    if not value.requires_grad:
        raise ValueError(refusal)
    try:
        # grad, not backward(): the weights' .grad belongs to the training step.
        (gradient,) = torch.autograd.grad(value, leaf, allow_unused=True)
    except RuntimeError as error:
        if "derivative" not in str(error):
            raise
        raise ValueError(refusal) from error
    if gradient is None:
        raise ValueError(refusal)
    return gradient


def is_fooled(logits: Tensor, labels: Tensor) -> Tensor:
    """Whether the answer is not the true class; no number is no answer, and an attacker's success."""
    return ~is_right(logits, labels)
