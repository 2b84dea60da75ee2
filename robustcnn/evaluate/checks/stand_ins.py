"""What stands in for a model that hides its gradients: the attack works on it, the judge asks the model itself."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from robustcnn.core.runtime import evaluating, global_seed
from robustcnn.data import ResidentDataset
from robustcnn.evaluate.checks.soft_steps import SoftSteps, made_by_hand_undone
from robustcnn.fast.plain_view import logits_of

PARTS_TRIED = 40
"""Parts of a model, at most, that are asked whether they are a classifier of their own."""

HELD = 20
"""The seed of random numbers that are held fixed: another one than the judge's."""


class Softened(nn.Module):
    """The model with a slope where it has steps, and with no backward pass made by hand."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        try:
            self.model = without_hooks(copy.deepcopy(model))
        except Exception:  # of any kind: models refuse to be copied in many ways
            self.model = model
        self.changed: set[str] = set()
        """What was given a slope, by name."""

    def forward(self, images: Tensor) -> Tensor:
        with made_by_hand_undone() as met, SoftSteps() as steps:
            # A copy, which the model may change.
            logits = logits_of(self.model(images.clone()))
        if images.requires_grad:
            self.changed |= steps.changed | set(met)
        return logits


def without_hooks(model: nn.Module) -> nn.Module:
    """None of its modules touches a gradient on its way back."""
    for module in model.modules():
        for hooks in ("_backward_hooks", "_full_backward_hooks", "_backward_pre_hooks"):
            getattr(module, hooks, {}).clear()
    return model


class Blurred(nn.Module):
    """The model at a random point nearby: the mean of its gradients is that of a smoother model."""

    def __init__(self, model: nn.Module, deviation: float) -> None:
        super().__init__()
        self.model, self.deviation = model, deviation

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.model(images + self.deviation * torch.randn_like(images))
        return logits


class Settled(nn.Module):
    """The mean of several draws of a model, of the same random numbers at every look (those of torch, that is).

    A search that compares losses does not mistake luck for progress there, and its slope is that of the mean's margin,
    which is what counts, instead of the mean of the draws' margins.
    """

    def __init__(self, model: nn.Module, draws: int) -> None:
        super().__init__()
        self.model, self.draws = model, draws

    def forward(self, images: Tensor) -> Tensor:
        with global_seed(HELD):
            return torch.stack([self.model(images) for _ in range(self.draws)]).mean(0)


class OnGrid(nn.Module):
    """The model, shown every picture as a file of bytes would hold it."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        shown = images + ((255 * images).round() / 255 - images).detach()
        logits: Tensor = self.model(shown)
        return logits


@torch.no_grad()
def inner_networks(model: nn.Module, data: ResidentDataset, *, least: float) -> dict[str, nn.Module]:
    """Parts of the model that classify the same pictures by themselves, with at least this accuracy.

    What a defence is wrapped round is such a part; it is found wherever the model holds it, registered or not.
    """
    images, labels = next(data.batches(128))
    found: dict[str, nn.Module] = {}
    for name, part in list(parts_of(model))[:PARTS_TRIED]:
        with evaluating(part):
            logits = _asked(part, images[:2])
            if logits is None or logits.shape != (len(images[:2]), data.spec.num_classes):
                continue
            logits = _asked(part, images)
        if logits is not None and (logits.argmax(1) == labels).float().mean() >= least:
            found[name] = part
    return found


def _asked(part: nn.Module, images: Tensor) -> Tensor | None:
    try:
        logits = part(images.clone())
    except Exception:  # most parts take something else
        return None
    usable = isinstance(logits, Tensor) and logits.is_floating_point() and logits.ndim == 2
    return logits if usable else None


def parts_of(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Everything below the model that is made of several modules, the largest parts first, each once."""
    seen = {id(model)}
    for name, part in all_modules(model):
        if id(part) not in seen and any(True for _ in part.children()):
            seen.add(id(part))
            yield name, part


def all_modules(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Its modules, and those that it holds without having registered them: in lists, tables and closures."""
    seen: set[int] = set()
    waiting: list[tuple[str, Any]] = [("model", model)]
    while waiting:
        name, thing = waiting.pop(0)
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        if isinstance(thing, nn.Module):
            yield name, thing
            waiting += [(f"{name}.{key}", each) for key, each in _held(thing)]
        elif isinstance(thing, list | tuple | dict):
            entries = thing.items() if isinstance(thing, dict) else enumerate(thing)
            waiting += [(f"{name}[{key}]", each) for key, each in _few(entries) if _may_hold(each)]
        elif callable(thing):
            cells = getattr(thing, "__closure__", None) or ()
            waiting += [(name, cell.cell_contents) for cell in cells if _filled(cell)]
            waiting += [(name, getattr(thing, "__self__", None))]


def _held(module: nn.Module) -> Iterator[tuple[str, Any]]:
    yield from ((key, each) for key, each in module.named_children())
    yield from ((key, each) for key, each in vars(module).items() if not key.startswith("_") and _may_hold(each))


def _may_hold(thing: object) -> bool:
    return isinstance(thing, nn.Module | list | tuple | dict) or hasattr(thing, "__closure__")


def _filled(cell: Any) -> bool:
    try:
        return _may_hold(cell.cell_contents)
    except ValueError:
        return False


def _few(entries: Iterable[Any]) -> list[Any]:
    return [each for each, _ in zip(entries, range(100), strict=False)]
