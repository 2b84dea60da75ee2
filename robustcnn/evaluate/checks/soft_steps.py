"""Soft ways back through what has no slope or hides it: backward pass differentiable approximation, found by itself.

Athalye et al. (2018) break a defence that is not differentiable by going backward through something smooth in its
place, chosen by hand. Here the choice is made while the model runs: every function that it calls passes by a
`SoftSteps`, which gives the same values, and a slope where there was none. Rounding and clipping pass slopes on as they
are; a sign or a comparison gets that of a smooth step as wide as its inputs are spread; an index passes on a softmax;
whatever was cut off (detach, no_grad, hooks, a backward pass made by hand) is not cut off any more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from robustcnn.evaluate.checks.soft_rules import RULES, slopes, with_slope_of

OUTSIDE = {"numpy", "tolist", "item", "__array__", "__float__", "__int__", "__bool__"}
"""Ways out of torch."""
DATA = torch.Tensor.data.__get__  # type: ignore[attr-defined]


class SoftSteps(TorchFunctionMode):
    """Inside the block, steps have slopes; `changed` names the functions that were given one."""

    def __init__(self) -> None:
        super().__init__()
        self.changed: set[str] = set()
        self.outside: dict[torch.Size, list[Tensor]] = {}
        """What left torch, by its shape, until something of that shape comes back."""

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if func == DATA:
            name = "detach"
        if (name == "_set_grad_enabled" and args == (False,)) or name == "register_hook":
            self.changed.add(name.strip("_"))
            return SimpleNamespace(remove=lambda: None) if name == "register_hook" else None
        if self.outside:
            args = tuple(map(self._returned, args))
        found = self._soft(name, func, args, kwargs) if args else None
        if found is None:
            return func(*args, **kwargs)
        self.changed.add(name.strip("_"))
        return found

    def _returned(self, value: Any) -> Any:
        """What comes back in the shape in which something left is taken for that, worked on."""
        if isinstance(value, list | tuple):
            return type(value)(map(self._returned, value)) if type(value) in (list, tuple) else value
        if not isinstance(value, Tensor) or value.requires_grad or not value.is_floating_point():
            return value
        left = self.outside.get(value.shape)
        if not left:
            return value
        first = left.pop(0)
        if not left:
            del self.outside[value.shape]
        return with_slope_of(value, first)

    def _soft(self, name: str, func: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        if name in OUTSIDE and slopes(args[0]):
            self.outside.setdefault(args[0].shape, []).append(args[0])
            return func(torch.Tensor.detach(args[0]), *args[1:], **kwargs)
        rule = RULES.get(name)
        return rule(func, args, kwargs) if rule else None


class _Context(SimpleNamespace):
    """What a hand-made forward pass writes its notes to."""

    needs_input_grad = (True,) * 32

    def save_for_backward(self, *tensors: Tensor) -> None:
        self.saved_tensors = tensors

    def _ignore(self, *_: object) -> None:
        """Nothing follows from it: there will be no backward pass made by hand."""

    mark_dirty = mark_non_differentiable = set_materialize_grads = save_for_forward = _ignore


@contextmanager
def made_by_hand_undone() -> Iterator[list[str]]:
    """Inside the block, autograd goes through the forward pass of functions whose backward was made by hand."""
    kind, met = torch.autograd.Function, list[str]()
    before = kind.__dict__.get("apply")

    def apply(cls: Any, *args: Any) -> Any:
        met.append(cls.__name__)
        if cls.setup_context is not kind.setup_context:
            return cls.forward(*args)
        return cls.forward(_Context(), *args)

    kind.apply = classmethod(apply)
    try:
        yield met
    finally:
        if before is None:
            del kind.apply
        else:
            kind.apply = before
