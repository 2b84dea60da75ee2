"""The attack on a model that may refuse: a wrong class is wanted, and not the refusal."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from robustcnn.attacks.ascent import GradientAttack
from robustcnn.attacks.base import Guarded
from robustcnn.attacks.gradient import PGD
from robustcnn.core.threat import ThreatModel
from robustcnn.fast.view import exact_logits


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class EachClass(Guarded):
    """Aims a gradient attack at one class after the other, but never at the last one, which is `detected`."""

    attack: GradientAttack = field(default_factory=lambda: PGD(stop=True))
    """Its `target` is set here."""

    def search(
        self, model: nn.Module, images: Tensor, labels: Tensor, threat: ThreatModel, generator: torch.Generator
    ) -> Tensor:
        worst, stands = images.clone(), torch.ones_like(labels, dtype=torch.bool)
        for aim in range(exact_logits(model, images[:1]).shape[1] - 1):
            rows = (stands & (labels != aim)).nonzero().flatten()
            if not len(rows):
                continue
            found = replace(self.attack, target=aim).search(model, images[rows], labels[rows], threat, generator)
            reached = exact_logits(model, found).argmax(1) == aim
            worst[rows[reached]], stands[rows[reached]] = found[reached], False
        return worst
