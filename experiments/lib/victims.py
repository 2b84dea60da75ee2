"""The networks that the attack experiments attack: small ones, trained in minutes and kept as checkpoints.

For each of four data sets a plain network, one trained against FGSM and one trained against PGD.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from robustcnn import FitConfig, OptimConfig, ResidentDataset, build, fit, load_checkpoint
from robustcnn.attacks.ascent import GradientAttack
from robustcnn.attacks.gradient import FGSM, PGD
from robustcnn.core.losses import cross_entropy
from robustcnn.core.runtime import evaluating, frozen_weights, global_seed
from robustcnn.core.threat import ThreatModel
from robustcnn.models import ModelConfig, PixelModel
from robustcnn.models.checkpoint import PAGE
from robustcnn.train import Standard

KINDS = ("plain", "fgsm", "pgd")


@dataclass(frozen=True, kw_only=True, slots=True)
class Against:
    """Cross-entropy on pictures that the attack has changed, mixed with that on the pictures as they are."""

    attack: GradientAttack
    threat: ThreatModel
    clean: float = 0.0
    """Share of the unchanged pictures' loss; Goodfellow et al. 2015 take 0.5."""

    def __call__(self, model: nn.Module, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        with torch.no_grad(), evaluating(model), frozen_weights(model):
            adversarial = self.attack.search(model, images, labels, self.threat, generator)
        loss = cross_entropy(model(adversarial), labels)
        return loss if not self.clean else (1 - self.clean) * loss + self.clean * cross_entropy(model(images), labels)


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """One data set's networks: what they stand against, and how long they learn."""

    data: str
    eps: float
    width: float = 0.25
    steps: int = 7
    """Of the PGD that the third network is trained against."""
    images: int = 20_000
    """At most so many to train on."""
    epochs: dict[str, int] = field(default_factory=lambda: {"plain": 5, "fgsm": 5, "pgd": 8})
    batch_size: int = 64
    lr: float = 2e-3

    @property
    def threat(self) -> ThreatModel:
        return ThreatModel(norm="linf", eps=self.eps)

    def stages(self, kind: str) -> Iterator[FitConfig]:
        """Trainings one after the other: a large eps is learnt only by a network that has learnt half of it."""
        optim = OptimConfig(name="adam", lr=self.lr, schedule="cosine", warmup=0.05)
        settings = {"optim": optim, "batch_size": self.batch_size}
        if kind == "plain":
            yield FitConfig(epochs=self.epochs[kind], objective=Standard(), **settings)
        elif kind == "fgsm":
            against = Against(attack=FGSM(), threat=self.threat, clean=0.5)
            yield FitConfig(epochs=self.epochs[kind], objective=against, **settings)
        else:
            half = Against(attack=PGD(steps=4), threat=ThreatModel(norm="linf", eps=self.eps / 2), clean=0.5)
            yield FitConfig(epochs=1, objective=half, **settings)
            against = Against(attack=PGD(steps=self.steps), threat=self.threat)
            yield FitConfig(epochs=self.epochs[kind], objective=against, **settings)


RECIPES = {
    recipe.data: recipe
    for recipe in (
        Recipe(data="mnist", eps=0.3),
        Recipe(data="fashion-mnist", eps=0.1, steps=5, epochs={"plain": 5, "fgsm": 5, "pgd": 6}),
        Recipe(data="signs", eps=8 / 255, steps=5, epochs={"plain": 6, "fgsm": 8, "pgd": 12}),
        Recipe(data="digits", eps=0.1, steps=3, epochs={"plain": 3, "fgsm": 3, "pgd": 4}),
    )
}


def victim(recipe: Recipe, kind: str, folder: Path, train: ResidentDataset, validation: ResidentDataset) -> PixelModel:
    """The trained network, from its checkpoint where there is one; the last epoch's, as clean loss is not its aim."""
    folder = folder / f"{recipe.data}-{kind}"
    if not (folder / PAGE).is_file():
        with global_seed(0):
            model = build(ModelConfig(name="smallcnn", width=recipe.width), train.spec)
        *early, final = recipe.stages(kind)
        for stage in early:
            for _ in fit(model, train, validation, stage, progress=False):
                pass
        for _ in fit(model, train, validation, final, folder=folder, progress=False):
            pass
    return load_checkpoint(folder, which="last")
