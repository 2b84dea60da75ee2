"""Training and attacking as the lectures' experiments do it: one line each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from statistics import mean, stdev

import torch
from torch import Tensor, nn

from robustcnn import DataConfig, FitConfig, OptimConfig, ResidentDataset, ThreatModel, build, craft, fit, load, predict
from robustcnn.attacks import PGD, Attack
from robustcnn.core.losses import margin
from robustcnn.core.runtime import global_seed, seeded
from robustcnn.data.registry import Splits
from robustcnn.models import PixelModel

ADAM = OptimConfig(name="adam", lr=2e-3, schedule="cosine", warmup=0.05)
PLAIN = FitConfig(epochs=5, batch_size=64, optim=ADAM, watch=0)


def splits(name: str, *, limit: int | None = None, drawn: int = 3_000, **options: object) -> Splits:
    """A data set by name; drawn signs are few unless more are asked for."""
    return load(DataConfig(name=name, limit=limit, drawn=drawn, **options))  # type: ignore[arg-type]


def trained(name: str, data: Splits, config: FitConfig = PLAIN, **options: object) -> PixelModel:
    """A network with weights of the config's seed, fitted; it carries its best epoch's weights."""
    with global_seed(config.seed):
        model = build(name, data.train.spec, **options)
    list(fit(model, data.train, data.validation, config, progress=False))
    return model.eval()


def some(data: ResidentDataset, count: int) -> ResidentDataset:
    return data if count >= len(data) else data.sample(count, generator=seeded(0))


def attacked(
    model: nn.Module, data: ResidentDataset, eps: float, attack: Attack | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """(clean pixels, adversarial ones, labels) of all of the data, linf."""
    images, labels = next(data.batches(len(data)))
    attack = PGD(steps=20, stop=True) if attack is None else attack
    return images, craft(attack, model, images, labels, ThreatModel(eps=eps)), labels


def accuracy(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    return float((logits(model, images).argmax(1) == labels).double().mean())


@torch.no_grad()
def logits(model: nn.Module, images: Tensor) -> Tensor:
    return torch.cat([model(part) for part in images.split(256)])


def robust(
    model: nn.Module, data: ResidentDataset, radii: Iterable[float], attack: Attack | None = None
) -> list[float]:
    """Accuracy under attack at each eps; what is wrong as it is counts as broken."""
    found = []
    for eps in radii:
        images, adversarial, labels = attacked(model, data, eps, attack)
        stands = (margin(logits(model, images), labels) < 0) & (margin(logits(model, adversarial), labels) < 0)
        found.append(float(stands.double().mean()))
    return found


def clean(model: nn.Module, data: ResidentDataset) -> float:
    return float((predict(model, data).argmax(1) == data.labels).double().mean())


def as_images(data: ResidentDataset, images: Tensor) -> ResidentDataset:
    """The same labels with other pictures."""
    return replace(data, images=images)


def told(values: list[float]) -> str:
    """Mean and, over more than one seed, standard deviation, in percent."""
    scatter = f" ± {100 * stdev(values):.1f}" if len(values) > 1 else ""
    return f"{100 * mean(values):.1f}{scatter}"


def dense_weights(model: PixelModel) -> torch.Tensor:
    """Of the hidden layer, which has most of them."""
    return max((each.detach().flatten() for each in model.parameters()), key=len)
