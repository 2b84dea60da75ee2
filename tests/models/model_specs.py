"""Specs and configurations that the model tests share."""

from __future__ import annotations

from robustcnn.core.spec import ImageSpec
from robustcnn.models import MODELS, ModelConfig


def spec(channels: int, height: int, width: int | None = None, *, classes: int = 10) -> ImageSpec:
    return ImageSpec(
        channels=channels,
        height=height,
        width=width or height,
        classes=tuple(map(str, range(classes))),
        mean=(0.4,) * channels,
        std=(0.25,) * channels,
    )


GREY, COLOUR, LARGE = spec(1, 28), spec(3, 32), spec(3, 224, classes=1000)


def narrow(name: str, **options: object) -> ModelConfig:
    """The network with an eighth of its channels where it has channels: fast, but every layer is there."""
    width = 0.125 if "width" in MODELS[name].options and name != "lenet5" else 1.0
    return ModelConfig(name=name, width=width, **options)  # type: ignore[arg-type]
