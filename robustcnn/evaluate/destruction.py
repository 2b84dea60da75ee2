"""What a photograph of a print leaves of adversarial examples (Kurakin, Goodfellow & Bengio 2017)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from robustcnn.attacks.ascent import GradientAttack
from robustcnn.attacks.base import Attack
from robustcnn.attacks.gradient import BIM, FGSM
from robustcnn.channel import Channel, Photo
from robustcnn.core.losses import is_right
from robustcnn.core.results import Share
from robustcnn.core.runtime import derived_seed, evaluating, seeded
from robustcnn.core.threat import ThreatModel
from robustcnn.data.resident import ResidentDataset, as_pixels

PHOTO = Photo()
"""All that can happen on the way, at full strength."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PhotoScore:
    """Accuracies of one attack in one ball, from the file and from the photograph, and what the way destroyed."""

    attack: str
    eps: float
    clean: Share
    clean_photo: Share
    adversarial: Share
    adversarial_photo: Share
    destroyed: Share
    """The destruction rate."""


def kurakin_attacks(eps: float) -> dict[str, GradientAttack]:
    """The paper's three for this eps: steps of one grey level, min(eps + 4, 1.25 eps) of them, eps in grey levels."""
    levels = round(255 * eps, 6)
    steps, step = math.ceil(min(levels + 4, 1.25 * levels)), 1 / 255
    return {
        "fast": FGSM(),
        "basic iterative": BIM(steps=steps, step_size=step),
        "least likely": BIM(steps=steps, step_size=step, target="least"),
    }


def destruction_rate(clean: Tensor, adversarial: Tensor, transformed: Tensor) -> Share:
    """Share of the successes that the transformation undoes; all three (N,) bool say whether the model is right.

    d = sum C(X) (1 - C(X_adv)) C(T(X_adv)) / sum C(X) (1 - C(X_adv)), the paper's equation, with C for right.
    """
    if not clean.shape == adversarial.shape == transformed.shape or {clean.dtype, adversarial.dtype} != {torch.bool}:
        raise ValueError(
            f"clean, adversarial and transformed must be bool of one shape (N,), got {tuple(clean.shape)}, "
            f"{tuple(adversarial.shape)} and {tuple(transformed.shape)}"
        )
    successes = clean & ~adversarial
    return Share.of(int((successes & transformed).sum()), int(successes.sum()))


def photographed(
    model: nn.Module,
    data: ResidentDataset,
    attack: Attack,
    threat: ThreatModel,
    *,
    channel: Channel = PHOTO,
    seed: int = 0,
    batch_size: int = 256,
) -> PhotoScore:
    """The attack on every picture; picture and attacked picture are printed in 8 bits and meet the same conditions."""
    if getattr(attack, "stop", False):
        raise ValueError(f"examples that stop at the first success hardly survive: {attack!r} needs stop=False")
    parts = zip(data.images.split(batch_size), data.labels.split(batch_size), strict=True)
    rights = [
        _rights(model, as_pixels(images), labels, attack, threat, channel, derived_seed(seed, number))
        for number, (images, labels) in enumerate(parts)
    ]
    columns = [torch.cat(column) for column in zip(*rights, strict=True)]
    clean, clean_photo, adversarial, adversarial_photo = (Share.of(int(each.sum()), len(each)) for each in columns)
    return PhotoScore(
        attack=repr(attack),
        eps=threat.eps,
        clean=clean,
        clean_photo=clean_photo,
        adversarial=adversarial,
        adversarial_photo=adversarial_photo,
        destroyed=destruction_rate(columns[0], columns[2], columns[3]),
    )


def _rights(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    attack: Attack,
    threat: ThreatModel,
    channel: Channel,
    seed: int,
) -> tuple[Tensor, ...]:
    """Where the model is right: clean, clean on the photo, attacked, attacked on the photo."""
    device = images.device
    found = attack(model, images, labels, threat, generator=seeded(derived_seed(seed, "attack"), device))
    printed = (threat.project(found, images) * 255).round() / 255
    with torch.no_grad(), evaluating(model):
        pictures = [
            shown
            for each in (images, printed)
            for shown in (each, channel(each, generator=seeded(derived_seed(seed, "photo"), device)))
        ]
        return tuple(is_right(model(each), labels) for each in pictures)
