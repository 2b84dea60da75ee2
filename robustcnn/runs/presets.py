"""Configs with a name: starting points of trainings and pre-trainings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from robustcnn.core.plain_data import did_you_mean, shown
from robustcnn.core.threat import ThreatModel
from robustcnn.data.augment.policy import Augment
from robustcnn.data.registry import DataConfig
from robustcnn.models import ModelConfig
from robustcnn.models.dcgan import DcganConfig
from robustcnn.runs.certified_presets import CERTIFIED
from robustcnn.runs.pretrain_config import PretrainConfig
from robustcnn.runs.train_config import TrainConfig
from robustcnn.train import Adversarial, Fast, FitConfig, OptimConfig, Standard, Trades
from robustcnn.train.gan.settings import GanConfig
from robustcnn.train.settings import AnyObjective

C = TypeVar("C")


@dataclass(frozen=True, kw_only=True, slots=True)
class Preset(Generic[C]):
    """A config with a word on what it is for."""

    says: str
    config: C


def preset(name: str) -> TrainConfig:
    """The config of the training preset of that name."""
    return _named(name, PRESETS)


def gan_preset(name: str) -> PretrainConfig:
    """The config of the pre-training preset of that name."""
    return _named(name, GAN_PRESETS)


def _named(name: str, presets: Mapping[str, Preset[C]]) -> C:
    if name not in presets:
        raise ValueError(f"unknown preset {shown(name)}{did_you_mean(name, presets)}")
    return presets[name].config


def presets_table(presets: Mapping[str, Preset[C]]) -> str:
    """A line a preset."""
    longest = max(map(len, presets))
    return "\n".join(f"  {name:<{longest}} {entry.says}" for name, entry in presets.items())


def _recipe(data: str, model: ModelConfig, fit: FitConfig, **rest: object) -> TrainConfig:
    return TrainConfig(data=DataConfig(name=data), model=model, fit=fit, **rest)  # type: ignore[arg-type]


def _linf(eps: float) -> ThreatModel:
    return ThreatModel(norm="linf", eps=eps)


def _cifar10(
    objective: AnyObjective, *, epochs: int, awp: float = 0.0, batch_size: int = 128, activation: str = "relu"
) -> TrainConfig:
    fit = FitConfig(
        epochs=epochs,
        batch_size=batch_size,
        optim=OptimConfig(name="nesterov", lr=0.1 * (batch_size / 128) ** 0.75, schedule="one-cycle"),
        # lambda/m * sum w^2 with m = 45,000: the usual weight decay of 5e-4.
        l2=11.25,
        augment=Augment(mirror=True, shift=4),
        objective=objective,
        ema=0.999,
        awp=awp,
    )
    model = ModelConfig(name="preactresnet18", activation=activation)  # type: ignore[arg-type]
    return _recipe("cifar10", model, fit, precision="bf16")


def _faces(model: ModelConfig, *, epochs: int, batch_size: int, lr: float, **rest: object) -> TrainConfig:
    fit = FitConfig(
        epochs=epochs,
        batch_size=batch_size,
        optim=OptimConfig(name="nesterov", lr=lr, schedule="one-cycle"),
        augment=Augment(mirror=True, shift=4, rotate=10, rescale=0.1),
        objective=Standard(label_smoothing=0.1),
        # lambda/m * sum w^2 with m = 28,709: a weight decay of 5e-4.
        l2=7.2,
        ema=0.998,
        monitor="valid_accuracy",
    )
    return _recipe("fer2013", model, fit, **rest)


def _small(data: str, objective: Adversarial | Fast | Trades, *, epochs: int, mirror: bool = False) -> TrainConfig:
    """For either MNIST; a large eps is learnt only where it grows, and best while the learning rate is high."""
    fit = FitConfig(
        epochs=epochs,
        batch_size=64,
        optim=OptimConfig(name="adam", lr=2e-3, schedule="cosine", warmup=0.05),
        augment=Augment(mirror=mirror),
        objective=replace(objective, warmup=0.1),
        ema=0.999,
    )
    return _recipe(data, ModelConfig(name="smallcnn", width=0.5), fit)


def _quick_signs(objective: Standard | Adversarial, *, epochs: int) -> TrainConfig:
    optim = OptimConfig(name="adam", lr=3e-3, schedule="cosine", warmup=0.05)
    fit = FitConfig(epochs=epochs, batch_size=64, optim=optim, objective=objective, watch=300)
    data = DataConfig(name="signs", drawn=4000)
    return TrainConfig(data=data, model=ModelConfig(name="smallcnn", width=0.25), fit=fit)


def _pictures(data: str) -> PretrainConfig:
    fit = GanConfig(epochs=30, batch_size=64)
    return PretrainConfig(data=DataConfig(name=data), model=DcganConfig(width=0.5), fit=fit)


_ONE_CYCLE = OptimConfig(name="nesterov", lr=0.1, schedule="one-cycle")

PRESETS = {
    "digits-quick": Preset(
        says="a small CNN on the embedded digits: seconds",
        config=_recipe(
            "digits",
            ModelConfig(name="smallcnn", width=0.25),
            FitConfig(epochs=8, batch_size=64, optim=OptimConfig(name="nesterov", lr=0.05, schedule="one-cycle")),
        ),
    ),
    "signs-bncnn": Preset(
        says="batch-norm CNN on the embedded road signs",
        config=_recipe(
            "signs",
            ModelConfig(name="bncnn"),
            FitConfig(epochs=10, optim=_ONE_CYCLE, augment=Augment(shift=3, brightness=0.2)),
        ),
    ),
    "fashion-lenet5": Preset(
        says="LeNet-5 as published in 1998, on Fashion-MNIST",
        config=_recipe(
            "fashion-mnist",
            ModelConfig(name="lenet5"),
            FitConfig(epochs=15, optim=OptimConfig(name="nesterov", lr=0.02, schedule="cosine")),
            threads=1,
        ),
    ),
    "fashion-smallcnn": Preset(
        says="the network of the MNIST robustness papers, >= 92.5 % on Fashion-MNIST in ten epochs",
        config=_recipe(
            "fashion-mnist",
            ModelConfig(name="smallcnn", dropout=0.4),
            FitConfig(
                epochs=10,
                batch_size=64,
                optim=OptimConfig(name="nesterov", lr=0.05, schedule="one-cycle"),
                augment=Augment(mirror=True),
                l2=5.0,
            ),
        ),
    ),
    "mnist-smallcnn": Preset(
        says="the same network on MNIST",
        config=_recipe(
            "mnist",
            ModelConfig(name="smallcnn", dropout=0.4),
            FitConfig(
                epochs=5,
                optim=OptimConfig(name="nesterov", lr=0.05, schedule="one-cycle"),
                augment=Augment(shift=2),
            ),
        ),
    ),
    "fer2013-vgg11": Preset(
        says="VGG-11 on the faces of FER2013, rare expressions weighted up",
        config=_recipe(
            "fer2013",
            ModelConfig(name="vgg11", batch_norm=True, dropout=0.5),
            FitConfig(
                epochs=40,
                optim=OptimConfig(name="nesterov", lr=0.05, schedule="one-cycle"),
                augment=Augment(mirror=True, shift=4, rotate=10),
                l2=5.0,
            ),
            balance="weights",
        ),
    ),
    "fer2013-facecnn": Preset(
        says="a small VGG on the same, in a quarter of an hour of one core that knows bf16",
        config=_faces(
            ModelConfig(name="facecnn", width=0.75, dropout=0.3), epochs=24, batch_size=64, lr=0.04, precision="bf16"
        ),
    ),
    "fer2013-resnet18": Preset(
        says="ResNet-18 on the same, for a GPU: meant for the 71 % of Kaggle's winner",
        config=_faces(ModelConfig(name="resnet18", dropout=0.3), epochs=120, batch_size=128, lr=0.1),
    ),
    "cifar10-resnet18": Preset(
        says="ResNet-18 on CIFAR-10, for a GPU: 30 epochs to 94-95 %",
        config=_recipe(
            "cifar10",
            ModelConfig(name="resnet18"),
            FitConfig(
                epochs=30,
                batch_size=128,
                optim=OptimConfig(name="nesterov", lr=0.1, schedule="one-cycle"),
                # lambda/m * sum w^2 with m = 45,000: the usual weight decay of 5e-4.
                l2=11.25,
                augment=Augment(mirror=True, shift=4, padding="reflect"),
                objective=Standard(label_smoothing=0.1),
                ema=0.999,
            ),
        ),
    ),
    "digits-quick-robust": Preset(
        says="the embedded digits against linf 0.1: seconds",
        config=_recipe(
            "digits",
            ModelConfig(name="smallcnn", width=0.25),
            FitConfig(
                epochs=12,
                batch_size=64,
                optim=OptimConfig(name="nesterov", lr=0.05, schedule="one-cycle"),
                objective=Adversarial(threat=_linf(0.1), steps=3, warmup=0.3),
            ),
        ),
    ),
    "signs-quick": Preset(
        says="a small CNN on the embedded road signs: seconds", config=_quick_signs(Standard(), epochs=8)
    ),
    "signs-quick-robust": Preset(
        says="the same against linf 8/255: minutes",
        config=_quick_signs(Adversarial(threat=_linf(8 / 255), steps=3, warmup=0.2), epochs=14),
    ),
    "mnist-madry": Preset(
        says="PGD training (Madry et al. 2018) on MNIST against linf 0.3",
        config=_small("mnist", Adversarial(threat=_linf(0.3), steps=5), epochs=10),
    ),
    "mnist-fast": Preset(
        says="PGD training of three long steps on MNIST against linf 0.3, against which one step does not help",
        config=_small("mnist", Adversarial(threat=_linf(0.3), steps=3, step_size=0.15), epochs=8),
    ),
    "fashion-trades": Preset(
        says="TRADES on Fashion-MNIST against linf 0.1",
        config=_small("fashion-mnist", Trades(threat=_linf(0.1), steps=5, beta=6.0), epochs=16),
    ),
    "fashion-fast": Preset(
        says="one-step training on Fashion-MNIST against linf 0.1",
        config=_small("fashion-mnist", Fast(threat=_linf(0.1), noise=1.0), epochs=10, mirror=True),
    ),
    "signs-pgd": Preset(
        says="PGD training on the embedded road signs against linf 8/255",
        config=_recipe(
            "signs",
            ModelConfig(name="bncnn"),
            FitConfig(
                epochs=15,
                optim=_ONE_CYCLE,
                augment=Augment(shift=3, brightness=0.2),
                objective=Adversarial(threat=_linf(8 / 255), steps=5, warmup=0.3),
            ),
        ),
    ),
    "cifar10-fast": Preset(
        says="PreAct-ResNet-18 on CIFAR-10 in one step against linf 8/255, with noise against collapse; for a GPU",
        config=_cifar10(Fast(threat=_linf(8 / 255), noise=2.0), epochs=30),
    ),
    "cifar10-pgd": Preset(
        says="the same by PGD training",
        config=_cifar10(Adversarial(threat=_linf(8 / 255), steps=10, step_size=2 / 255), epochs=40),
    ),
    "cifar10-trades-awp": Preset(
        says="the same by TRADES with perturbed weights",
        config=_cifar10(Trades(threat=_linf(8 / 255), steps=10, step_size=2 / 255), epochs=60, awp=0.005),
    ),
    "cifar10-minutes": Preset(
        says="the same in three steps by a smooth network: for ten minutes of an H100",
        config=_cifar10(
            Trades(threat=_linf(8 / 255), steps=3), epochs=75, awp=0.005, batch_size=512, activation="silu"
        ),
    ),
    **{name: Preset(says=says, config=config) for name, (says, config) in CERTIFIED.items()},
}

GAN_PRESETS = {
    "digits-dcgan": Preset(
        says="the embedded digits: about a minute",
        config=PretrainConfig(
            data=DataConfig(name="digits"),
            model=DcganConfig(width=0.25),
            fit=GanConfig(epochs=30, batch_size=16, lr=1e-4, generator_lr=5e-4),
        ),
    ),
    "fashion-dcgan": Preset(says="Fashion-MNIST", config=_pictures("fashion-mnist")),
    "signs-dcgan": Preset(says="the embedded road signs in colour", config=_pictures("signs")),
}
