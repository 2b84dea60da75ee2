"""Adversarial examples of one model, tried on another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from robustcnn.attacks.base import Attack
from robustcnn.core.losses import is_right
from robustcnn.core.results import Share, TransferScore
from robustcnn.core.runtime import derived_seed, seeded
from robustcnn.core.threat import ThreatModel
from robustcnn.data.resident import ResidentDataset, as_pixels
from robustcnn.evaluate.predict import predict


def transfer_matrix(
    models: Mapping[str, nn.Module],
    data: ResidentDataset,
    attack: Attack,
    threat: ThreatModel,
    *,
    seed: int = 0,
    batch_size: int = 256,
) -> tuple[TransferScore, ...]:
    """Every model's examples on every model, itself included; give an attack that does not stop when it has fooled.

    Counted on those pictures that the target gets right without an attack.
    """
    if not models:
        raise ValueError("models must hold at least one model, got none")
    if getattr(attack, "stops_when_fooled", False):
        cure = "needs stop=False" if hasattr(attack, "stop") else "always does (PGD and MIFGSM do not)"
        raise ValueError(f"examples that stop at the first success hardly transfer: {attack!r} {cure}")
    right = {name: is_right(predict(model, data).cpu(), data.labels.cpu()) for name, model in models.items()}
    scores = []
    for source, maker in models.items():
        generator = seeded(derived_seed(seed, source), data.device)
        attacked = replace(data, images=_attacked(maker, data, attack, threat, generator, batch_size))
        for target, model in models.items():
            stands = right[target] & is_right(predict(model, attacked).cpu(), data.labels.cpu())
            accuracy = Share.of(int(stands.sum()), int(right[target].sum()))
            scores.append(TransferScore(source=source, target=target, accuracy=accuracy))
    return tuple(scores)


def _attacked(
    model: nn.Module,
    data: ResidentDataset,
    attack: Attack,
    threat: ThreatModel,
    generator: torch.Generator,
    batch_size: int,
) -> Tensor:
    """The whole set after the attack, held to its ball."""
    originals, parts = as_pixels(data.images), []
    for images, labels in zip(originals.split(batch_size), data.labels.split(batch_size), strict=True):
        # Not `craft`, which may leave pictures out once they are fooled: what transfers is the full way.
        parts.append(threat.project(attack(model, images, labels, threat, generator=generator).float(), images))
    return torch.cat(parts)
