"""One picture before and after an attack: what a model answers, and what is left of it after saving."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from robustcnn.attacks import Attack, Smallest
from robustcnn.attacks.targets import Towards
from robustcnn.core.runtime import evaluating, seeded
from robustcnn.core.threat import ThreatModel
from robustcnn.data.sets.picture import through_jpeg

SHOWN = 5
QUALITIES = (95, 75)
HALVINGS = 10
"""Of the last interval: the smallest eps is exact to a thousandth of itself or so."""
LADDER = 8
"""Doublings of eps that look for the first success, which need not be monotone: a long FGSM step can overshoot."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """A class and what the model believes of it."""

    name: str
    index: int
    confidence: float

    def __str__(self) -> str:
        return f"{self.name} {100 * self.confidence:.1f} %"


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """One attack at one eps."""

    eps: float
    """As asked for, in the unit that was asked for."""
    length: float
    """Of the change in the attack's norm, in pixel units."""
    answers: tuple[Answer, ...]
    """The likeliest classes."""
    reached: bool
    """Whether the answer is what the attacker wants."""
    survives: dict[str, bool]
    """Whether it still is, after 8-bit rounding (PNG) and as a JPEG."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Game:
    """What an attacker plays for: a model, one picture (1, C, H, W) in [0, 1], away from a class or towards one."""

    model: nn.Module
    image: Tensor
    classes: tuple[str, ...]
    label: int
    target: int | None = None
    scale: tuple[float, ...] | None = None
    """Standard deviations that the model divides by, when eps is in the model's own input range."""

    def __post_init__(self) -> None:
        for name, index in (("label", self.label), ("target", self.target)):
            if index is not None and not 0 <= index < len(self.classes):
                raise ValueError(f"{name} must lie in 0..{len(self.classes) - 1}, got {index}")
        if self.target == self.label:
            raise ValueError(f"target must be another class than the one attacked, {self.classes[self.label]!r}")

    def answers(self, image: Tensor, *, count: int = SHOWN) -> tuple[Answer, ...]:
        """The likeliest classes."""
        shares = _logits(self.model, image).softmax(1)[0]
        top = shares.topk(min(count, len(shares)))
        return tuple(
            Answer(name=self.classes[index], index=index, confidence=share)
            for share, index in zip(top.values.tolist(), top.indices.tolist(), strict=True)
        )

    def reached(self, image: Tensor) -> bool:
        """Whether the model's answer is what the attacker wants."""
        answer = int(_logits(self.model, image).argmax(1))
        return answer != self.label if self.target is None else answer == self.target

    def play(self, attack: Attack, threat: ThreatModel, *, seed: int = 0) -> tuple[Tensor, Attempt]:
        """The adversarial picture, and what became of it."""
        face, image, labels = self._face()
        ball = replace(threat, eps=threat.eps * self.unit)
        found = attack(face, image, labels, ball, generator=seeded(seed, image.device))
        adversarial = self._pixels(ball.project(found, image))
        return adversarial, self._attempt(adversarial, threat)

    def smallest(self, attack: Attack, threat: ThreatModel, *, seed: int = 0) -> float | None:
        """The smallest eps, in the threat's unit, that reaches the goal inside the threat's ball; None if none does."""
        face, image, labels = self._face()
        for eps in (threat.eps * 2.0**-power for power in range(LADDER, -1, -1)):
            inner = replace(threat, eps=eps)
            adversarial, attempt = self.play(attack, inner, seed=seed)
            if attempt.reached:
                search = Smallest(attack=attack, steps=HALVINGS)
                ball = replace(threat, eps=eps * self.unit)
                found = search(face, image, labels, ball, generator=seeded(seed, image.device))
                if not self.reached(self._pixels(found)):
                    found = self._stretched(adversarial)
                return float(threat.distance(found, image)) / self.unit
        return None

    @property
    def unit(self) -> float:
        """What an eps of 1 is on the stretched picture that attacks work on; 1 where eps is in pixels."""
        return 1.0 if self.scale is None else min(self.scale)

    @property
    def pixel_unit(self) -> float:
        """What an eps of 1 is in pixels, as the mean over the channels."""
        return 1.0 if self.scale is None else sum(self.scale) / len(self.scale)

    def _face(self) -> tuple[nn.Module, Tensor, Tensor]:
        """The game as a plain attack on a model: leave this label."""
        face = self.model if self.target is None else Towards(self.model, self.target)
        labels = torch.full((1,), self.label if self.target is None else 0, device=self.image.device)
        if self.scale is not None:
            face = nn.Sequential(_Times(1 / self._stretch()), face)
        return face, self._stretched(self.image), labels

    def _stretch(self) -> Tensor:
        """At most 1 a channel, so that a ball in the model's range is a ball here, and pixels stay in [0, 1]."""
        scale = torch.tensor(self.scale or (1.0,), device=self.image.device)
        return (self.unit / scale)[:, None, None]

    def _stretched(self, image: Tensor) -> Tensor:
        return image * self._stretch() if self.scale else image

    def _pixels(self, stretched: Tensor) -> Tensor:
        return (stretched / self._stretch()).clamp(0, 1) if self.scale else stretched

    def _attempt(self, adversarial: Tensor, threat: ThreatModel) -> Attempt:
        reached = self.reached(adversarial)
        return Attempt(
            eps=threat.eps,
            length=float(threat.distance(adversarial, self.image)),
            answers=self.answers(adversarial),
            reached=reached,
            survives={name: reached and self.reached(saved) for name, saved in as_saved(adversarial)},
        )


class _Times(nn.Module):
    factor: Tensor

    def __init__(self, factor: Tensor) -> None:
        super().__init__()
        self.register_buffer("factor", factor)

    def forward(self, images: Tensor) -> Tensor:
        return images * self.factor


def as_saved(image: Tensor) -> Iterator[tuple[str, Tensor]]:
    """What is left of a picture (1, C, H, W) in each kind of file."""
    yield "PNG", (255 * image).round() / 255
    for quality in QUALITIES:
        yield f"JPEG {quality}", through_jpeg(image, quality)


@torch.no_grad()
def _logits(model: nn.Module, image: Tensor) -> Tensor:
    with evaluating(model):
        logits: Tensor = model(image)
    if not logits.isfinite().all():
        raise ValueError(
            "the model's answer to the picture is not made of numbers (NaN or infinite): its weights are damaged, "
            "or it overflows"
        )
    return logits
