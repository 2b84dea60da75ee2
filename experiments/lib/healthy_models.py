"""Models without any fault: five architectures, three ways to train, three data sets; trained once, then kept."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from robustcnn import Augment, FitConfig, OptimConfig, ResidentDataset, ThreatModel, build, fit, load, load_checkpoint
from robustcnn.core.runtime import global_seed
from robustcnn.train import Adversarial


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """A data set, the usual ball round its pictures, and how long its networks learn."""

    name: str
    eps: float
    limit: int | None
    epochs: int

    @property
    def threat(self) -> ThreatModel:
        return ThreatModel(norm="linf", eps=self.eps)

    def parts(self) -> tuple[ResidentDataset, ResidentDataset, ResidentDataset]:
        train, validation, test = load(self.name, limit=self.limit)
        return train, validation.subset(min(len(validation), 500)), test


FIELDS = (
    Field(name="digits", eps=0.1, limit=None, epochs=15),
    Field(name="signs", eps=8 / 255, limit=4000, epochs=8),
    Field(name="fashion-mnist", eps=0.1, limit=6000, epochs=6),
)
KINDS = (
    ("lenet5", None, "plain"),
    ("lenet5", None, "adversarial"),
    ("smallcnn", 0.25, "plain"),
    ("smallcnn", 0.25, "regularised"),
    ("smallcnn", 0.25, "adversarial"),
    ("bncnn", 0.25, "adversarial"),
    ("vgg11", 0.125, "regularised"),
    ("preactresnet18", 0.125, "plain"),
)


def healthy(field: Field, name: str, width: float | None, kind: str, folder: Path) -> nn.Module:
    """The trained network, from its checkpoint where there is one."""
    place = folder / f"{field.name}-{name}-{kind}"
    if not place.is_dir():
        # Elsewhere first: half a training is none.
        begun = folder / f"{place.name}.begun"
        shutil.rmtree(begun, ignore_errors=True)
        train, validation, _ = field.parts()
        with global_seed(0):
            model = build(name, train.spec, **_options(width, kind))
        for _ in fit(model, train, validation, _recipe(field, kind), folder=begun, progress=False):
            pass
        begun.rename(place)
    return load_checkpoint(place, which="last").eval()


def _options(width: float | None, kind: str) -> dict[str, float]:
    options = {} if width is None else {"width": width}
    return options | ({"dropout": 0.3} if kind == "regularised" else {})


def _recipe(field: Field, kind: str) -> FitConfig:
    optim = OptimConfig(name="adamw" if kind == "regularised" else "adam", lr=2e-3, schedule="cosine")
    options = {"epochs": field.epochs, "batch_size": 64, "optim": optim, "watch": 0, "monitor": "valid_accuracy"}
    if kind == "regularised":
        return FitConfig(**options, augment=Augment(shift=2, noise=0.05))
    if kind == "adversarial":
        return FitConfig(**options, objective=Adversarial(threat=field.threat, steps=5, warmup=0.3))
    return FitConfig(**options)


def all_healthy(folder: Path, fields: tuple[Field, ...] = FIELDS) -> Iterator[tuple[str, Field, nn.Module]]:
    """Each with its name and its field."""
    for field in fields:
        for name, width, kind in KINDS:
            yield f"{field.name} {name} {kind}", field, healthy(field, name, width, kind, folder)
