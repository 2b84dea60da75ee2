"""All networks by name, and the one function that builds them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any

import torch
from torch import nn

from robustcnn.core.memory import refuse_too_large
from robustcnn.core.plain_data import did_you_mean, shown
from robustcnn.core.plugins import VARIABLE, load_plugins
from robustcnn.core.runtime import evaluating, global_seed
from robustcnn.core.spec import ImageSpec
from robustcnn.models.alexnet import alexnet
from robustcnn.models.dcgan import SMALLEST, dcgan
from robustcnn.models.dense import logistic, maxout, mlp
from robustcnn.models.googlenet import googlenet
from robustcnn.models.init import initialise
from robustcnn.models.layers import place_dropout
from robustcnn.models.lenet import lenet5
from robustcnn.models.model_config import ModelConfig
from robustcnn.models.pixel import PixelModel
from robustcnn.models.pretrained import PREFIX, network
from robustcnn.models.resnet import preactresnet18, resnet18, wideresnet28_10
from robustcnn.models.small import bncnn, facecnn, provablecnn, smallcnn, stridedcnn
from robustcnn.models.vgg import vgg


@dataclass(frozen=True, slots=True)
class Architecture:
    """How to make a network, and the fewest pixels a side that it takes."""

    make: Callable[..., nn.Module]
    """(spec, outputs, *, options); its keyword parameters are the options it has, their defaults the paper's."""
    smallest: int = 1
    ready: bool = False
    """Whether its initial weights and its dropout are its maker's own."""

    @property
    def options(self) -> dict[str, Any]:
        """Every option it has, with its default."""
        parameters = inspect.signature(self.make).parameters.values()
        return {option.name: option.default for option in parameters if option.kind is option.KEYWORD_ONLY}


MODELS: dict[str, Architecture] = {
    "logistic": Architecture(logistic),
    "mlp": Architecture(mlp),
    "maxout": Architecture(maxout),
    "lenet5": Architecture(lenet5, smallest=24),
    "smallcnn": Architecture(smallcnn, smallest=4),
    "bncnn": Architecture(bncnn),
    "facecnn": Architecture(facecnn, smallest=15),
    "stridedcnn": Architecture(stridedcnn, smallest=4),
    "provablecnn": Architecture(provablecnn, smallest=4),
    "alexnet": Architecture(alexnet, smallest=15),
    "vgg11": Architecture(partial(vgg, (1, 1, 2, 2, 2)), smallest=16),
    "vgg16": Architecture(partial(vgg, (2, 2, 3, 3, 3)), smallest=16),
    "googlenet": Architecture(googlenet),
    "resnet18": Architecture(resnet18),
    "preactresnet18": Architecture(preactresnet18),
    "wideresnet28-10": Architecture(wideresnet28_10),
    "dcgan": Architecture(dcgan, smallest=SMALLEST),
}


Make = Callable[..., nn.Module]


def register(name: str, *, smallest: int = 1) -> Callable[[Make], Make]:
    """Make a network of your own known by a name: `build`, `fit`, checkpoints and `--model.name` then take it.

    What is decorated is a function of (spec, outputs, *, options) that returns an nn.Module which takes normalised
    pictures; its keyword parameters are the options it has, out of the fields of ModelConfig.
    """
    if not re.fullmatch(r"[\w.-]+", name):
        raise ValueError(f"name must consist of letters, digits, dots, dashes and underscores, got {shown(name)}")

    def remember(make: Make) -> Make:
        known = MODELS.get(name)
        if known is not None and _origin(known.make) != _origin(make):
            raise ValueError(f"name {shown(name)} is taken by another network (choose another name)")
        MODELS[name] = Architecture(make, smallest=smallest, ready=True)
        return make

    return remember


def _origin(make: Make) -> tuple[str, str]:
    """What stays the same when a module is imported again."""
    return getattr(make, "__module__", ""), getattr(make, "__qualname__", repr(make))


def build(model: ModelConfig | str, spec: ImageSpec, *, seed: int | None = None, **options: Any) -> PixelModel:
    """A network with fresh weights, drawn from `seed`, or from torch's global generator when there is none.

    `options` are fields of ModelConfig. Beside MODELS there is torchvision:NAME.
    """
    if seed is not None:
        with global_seed(seed):
            return build(model, spec, **options)
    known = [field.name for field in fields(ModelConfig)]
    if strangers := [option for option in options if option not in known]:
        raise ValueError(f"unknown model option {shown(strangers[0])}{did_you_mean(strangers[0], known)}")
    config = replace(model, **options) if isinstance(model, ModelConfig) else ModelConfig(name=model, **options)
    architecture = _find(config.name)
    _check(config, architecture, spec)
    if not architecture.ready:
        _refuse_giants(config, architecture, spec)
    shares = config.dropout if isinstance(config.dropout, tuple) else None
    given = {name: value for name, value in config.given.items() if shares is None or name != "dropout"}
    net = architecture.make(spec, 1 if config.single_logit else spec.num_classes, **given)
    if architecture.ready:
        return _settled(PixelModel(net, spec, config))
    if shares is not None:
        place_dropout(net, shares, name=config.name)
    initialise(net, config.activation or architecture.options.get("activation"), narrow=config.narrow_init)
    return PixelModel(net, spec, config)


@torch.no_grad()
def _settled(model: PixelModel) -> PixelModel:
    """Lazy layers find their sizes when they first see a picture."""
    if any(isinstance(each, nn.UninitializedParameter) for each in model.parameters()):
        with evaluating(model):
            model(torch.zeros(2, *model.spec.shape))
    return model


def _refuse_giants(config: ModelConfig, architecture: Architecture, spec: ImageSpec) -> None:
    """Refuse a network whose weights, gradients and an optimiser's two averages of them would not fit into memory."""
    options = {name: value for name, value in config.given.items() if name != "dropout"}
    try:
        with torch.random.fork_rng(devices=()), torch.device("meta"):
            net = architecture.make(spec, spec.num_classes, **options)
    except (RuntimeError, OverflowError, NotImplementedError, MemoryError, TypeError) as problem:
        # Of numbers too large for a tensor's size; what else a network cannot do without values is no matter here.
        if config.width > 100 or "overflow" in str(problem).lower():
            raise ValueError(f"{config.name} of width {config.width:g} is too large to be built") from None
        return
    count = sum(weights.numel() for weights in net.parameters())
    refuse_too_large(f"{config.name}, with {count:,} parameters to train,", 16 * count, "ask for a smaller width")


def _find(name: str) -> Architecture:
    if name.startswith(PREFIX):
        # As torchvision has it, initial weights included.
        return Architecture(lambda _, outputs: network(name, classes=outputs), ready=True)
    if name not in MODELS:
        load_plugins("models")
    if name not in MODELS:
        raise ValueError(
            f"unknown model {shown(name)}{did_you_mean(name, MODELS)} (one of your own has to be registered first: "
            f"import the module that calls robustcnn.models.register, or name it in {VARIABLE})"
        )
    return MODELS[name]


def _check(config: ModelConfig, architecture: Architecture, spec: ImageSpec) -> None:
    has = architecture.options
    if lacking := [option for option in config.given if option not in has]:
        raise ValueError(f"{config.name} has no option {shown(lacking[0])}; it has: {', '.join(has) or 'none'}")
    if config.single_logit and spec.num_classes != 2:
        raise ValueError(f"single_logit needs exactly two classes, got {spec.num_classes} (leave it out)")
    if min(spec.height, spec.width) < architecture.smallest:
        raise ValueError(
            f"{config.name} takes images of at least {architecture.smallest}x{architecture.smallest} pixels, "
            f"got {spec.height}x{spec.width} (enlarge the images or choose another model)"
        )
