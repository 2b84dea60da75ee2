"""Attacks that reckon with what happens to a picture on its way to the model (expectation over transformation)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from robustcnn.attacks.ascent import GradientAttack
from robustcnn.attacks.autopgd import APGD
from robustcnn.attacks.base import Guarded
from robustcnn.attacks.gradient import PGD
from robustcnn.channel import Channel, Photo
from robustcnn.core.threat import ThreatModel
from robustcnn.fast.plain_view import View


class Seen(View):
    """A model behind a channel: every look draws anew from the generator."""

    def __init__(self, model: nn.Module, channel: Channel, generator: torch.Generator) -> None:
        super().__init__(chunk=model.chunk if isinstance(model, View) else None)
        self.model, self.channel, self.generator = model, channel, generator

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.model(self.channel(images, generator=self.generator))
        return logits


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class Through(Guarded):
    """A gradient attack through a channel (Athalye et al. 2018): each step climbs the mean slope of several draws.

    Give an attack that does not stop at its first success, which may be one lucky draw.
    """

    attack: GradientAttack | APGD = field(default_factory=PGD)
    """Its `eot` is set here."""
    channel: Channel = field(default_factory=Photo)
    """What happens to the images before the model sees them."""
    draws: int = 8
    """Draws of the channel a step."""

    def __post_init__(self) -> None:
        if self.draws < 1:
            raise ValueError(f"draws must be at least 1, got {self.draws}")
        if self.attack.stop:
            raise ValueError(f"one lucky draw is no success: {self.attack!r} needs stop=False")

    @property
    def takes_eps_each(self) -> bool:
        return self.attack.takes_eps_each

    def search(
        self, model: nn.Module, images: Tensor, labels: Tensor, threat: ThreatModel, generator: torch.Generator
    ) -> Tensor:
        attack = replace(self.attack, eot=self.draws)
        return attack.search(Seen(model, self.channel, generator), images, labels, threat, generator)
