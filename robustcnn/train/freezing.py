"""Which layers of a network stay as they are while the others are trained."""

from __future__ import annotations

import re

from torch import Tensor, nn

FREEZE = re.compile(r"none|features|first:[1-9]\d*")


def check_freeze(freeze: str) -> None:
    if not FREEZE.fullmatch(freeze):
        raise ValueError(
            f"freeze must be none, features (all but the last layer) or first:K (the first K layers with weights, K "
            f"from 1), got {freeze!r}"
        )


def holders(model: nn.Module) -> dict[str, nn.Module]:
    """The modules that hold tensors of their own, in the order in which an image meets them."""
    found = {
        name: module
        for name, module in model.named_modules()
        if [*module.parameters(recurse=False), *module.buffers(recurse=False)]
    }
    # What the whole model holds (the pixels' mean and deviation) is no layer.
    return {name: module for name, module in found.items() if name}


def head_of(model: nn.Module) -> str:
    """The name of the last layer, which turns features into classes."""
    return [*holders(model)][-1]


def weighted(model: nn.Module) -> list[str]:
    """The convolutions and linear layers before the head; normalisations and scales belong to the one before them."""
    head, layers = head_of(model), holders(model)
    return [name for name, layer in layers.items() if isinstance(layer, nn.Conv2d | nn.Linear) and name != head]


def frozen_layers(model: nn.Module, freeze: str) -> dict[str, nn.Module]:
    """What `none`, `features` or `first:K` comes to in this model."""
    check_freeze(freeze)
    layers, head = holders(model), head_of(model)
    names = list(layers)
    if freeze == "none":
        return {}
    stop = names.index(head)
    if freeze != "features":
        known, count = weighted(model), int(freeze.removeprefix("first:"))
        if count > len(known):
            raise ValueError(f"freeze {freeze!r}: the model has {len(known)} layers with weights before its last one")
        stop = names.index(known[count]) if count < len(known) else stop
    if not any(parameter.requires_grad for name in names[stop:] for parameter in layers[name].parameters()):
        raise ValueError(f"freeze {freeze!r} leaves nothing to train: the last layer, {head}, has no weights to learn")
    return {name: layers[name] for name in names[:stop]}


class Frozen:
    """Layers without gradients until `release`; `hold` keeps their batch norm in evaluation mode too."""

    def __init__(self, model: nn.Module, freeze: str) -> None:
        self.layers = frozen_layers(model, freeze)
        owned = (parameter for layer in self.layers.values() for parameter in layer.parameters(recurse=False))
        self._held: list[Tensor] = [parameter for parameter in owned if parameter.requires_grad]
        for parameter in self._held:
            parameter.requires_grad_(False)

    def hold(self) -> None:
        """To be called after `train()`, which knows nothing of this."""
        for layer in self.layers.values():
            # Not eval(), which would reach what is inside, and dropout there goes on.
            layer.training = False

    def release(self) -> None:
        """The weights want gradients again, as before."""
        for parameter in self._held:
            parameter.requires_grad_(True)
