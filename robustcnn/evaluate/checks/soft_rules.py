"""What each function gets in place of its slope while `SoftSteps` is at work; none changes a value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Function = Callable[..., Any]
Rule = Callable[[Function, Any, Any], Any]
"""A soft version of the call, or None where it is left as it is."""
SHARPNESS = 4.0
"""A smooth step is this much narrower than the spread of what it looks at."""

LEVELS = {"round", "floor", "ceil", "trunc", "fix", "round_", "floor_", "ceil_", "trunc_", "fix_"}
LIMITS = {"clamp", "clip", "clamp_", "clip_", "hardtanh", "hardtanh_", "relu6", "hardsigmoid"}
SIGNS = {"sign", "sgn", "sign_", "heaviside"}
CUTS = {"detach", "detach_"}
ABOVE = {"gt", "ge", "__gt__", "__ge__", "greater", "greater_equal"}
BELOW = {"lt", "le", "__lt__", "__le__", "less", "less_equal"}
CHOICES = {"argmax": 1.0, "argmin": -1.0}
TO_NUMBERS = {"float", "double", "to", "type", "type_as"}
TO_INTEGERS = {"int", "long", "byte", "short", "char"}
PRODUCTS = {"mul", "__mul__", "__rmul__", "multiply", "mul_", "__imul__"}
INTEGER_SUMS = {
    "__floordiv__": lambda x, y: x / y,
    "floor_divide": lambda x, y: x / y,
    "div": lambda x, y: x / y,
    "__truediv__": lambda x, y: x / y,
    "__mul__": lambda x, y: x * y,
    "mul": lambda x, y: x * y,
    "__add__": lambda x, y: x + y,
    "add": lambda x, y: x + y,
    "__sub__": lambda x, y: x - y,
    "sub": lambda x, y: x - y,
    "__rshift__": lambda x, y: x / 2**y,
    "bitwise_right_shift": lambda x, y: x / 2**y,
    "__lshift__": lambda x, y: x * 2**y,
    "bitwise_left_shift": lambda x, y: x * 2**y,
    "__and__": lambda x, _: x,
    "bitwise_and": lambda x, _: x,
}


def with_slope_of(hard: Tensor, soft: Tensor) -> Tensor:
    """The values of the one, the slope of the other."""
    soft = soft.to(hard.dtype if hard.is_floating_point() else soft.dtype)
    return soft + (hard.detach().to(soft) - soft.detach())


def slopes(value: object) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point() and value.requires_grad


def _soft(value: object, kind: str = "soft") -> Tensor | None:
    return getattr(value, f"_{kind}_step", None)


def _remember(hard: Tensor, soft: Tensor, kind: str = "soft") -> Tensor:
    setattr(hard, f"_{kind}_step", soft)
    return hard


def _width(values: Tensor) -> Tensor:
    return values.detach().std().clamp_min(1e-6) / SHARPNESS if values.numel() > 1 else torch.ones_like(values.detach())


def _level(func: Function, args: Any, kwargs: Any) -> Tensor | None:
    images = args[0]
    if not slopes(images):
        return None
    # Of a copy, which in-place versions may change.
    hard = func(images.detach().clone(), *args[1:], **kwargs)
    return with_slope_of(hard, images) if hard.shape == images.shape else None


def _sign(func: Function, args: Any, kwargs: Any) -> Tensor | None:
    values = args[0]
    if not slopes(values):
        return None
    hard = func(values.detach().clone(), *args[1:], **kwargs)
    return with_slope_of(hard, (values / _width(values) / SHARPNESS).tanh())


def _uncut(func: Function, args: Any, kwargs: Any) -> Tensor | None:  # noqa: ARG001
    return args[0].view_as(args[0]) if slopes(args[0]) else None


def _compare(sense: float) -> Rule:
    def rule(func: Function, args: Any, kwargs: Any) -> Tensor | None:
        if not any(map(slopes, args[:2])):
            return None
        gap = sense * (args[0] - args[1])
        return _remember(func(*args, **kwargs), (gap / _width(gap)).sigmoid())

    return rule


def _logic(combine: Callable[..., Tensor]) -> Rule:
    def rule(func: Function, args: Any, kwargs: Any) -> Tensor | None:
        softs = [_soft(each) for each in args]
        if all(each is None for each in softs):
            return None
        filled = [
            each if each is not None else torch.as_tensor(arg).float() for each, arg in zip(softs, args, strict=True)
        ]
        return _remember(func(*args, **kwargs), combine(*filled))

    return rule


def _choose(func: Function, args: Any, kwargs: Any) -> Tensor | None:
    values = args[0]
    along = kwargs.get("dim", args[1] if len(args) > 1 else None)
    if not slopes(values) or along is None:
        return None
    weights = (CHOICES[func.__name__] * values / _width(values)).softmax(along)
    return _remember(func(*args, **kwargs), weights.movedim(along, -1), "choice")


def _one_hot(func: Function, args: Any, kwargs: Any) -> Tensor | None:
    weights = _soft(args[0], "choice")
    hard = func(*args, **kwargs)
    return None if weights is None or weights.shape != hard.shape else _remember(hard, weights, "linear")


def _look_up(func: Function, args: Any, kwargs: Any) -> Tensor | None:
    # F.embedding(index, table) and table[index].
    index, table = (args[0], args[1]) if func.__name__ == "embedding" else (args[1], args[0])
    weights = _soft(index, "choice") if isinstance(index, Tensor) else None
    linear = _soft(index, "linear") if isinstance(index, Tensor) else None
    if linear is not None and isinstance(table, Tensor) and table.ndim == 1 and table.is_floating_point():
        return with_slope_of(func(*args, **kwargs), linear * _rise(table, index))
    if weights is None or not table.is_floating_point():
        return None
    return with_slope_of(func(*args, **kwargs), torch.tensordot(weights.to(table), table, dims=1))


def _rise(table: Tensor, index: Tensor) -> Tensor:
    """How much a table of numbers rises from entry to entry, near these."""
    reach, last = len(table) // 16 + 1, len(table) - 1
    index = index.long()
    above, below = (index + reach).clamp_max(last), (index - reach).clamp_min(0)
    return (table[above] - table[below]) / (above - below).clamp_min(1)


def _to_numbers(func: Function, args: Any, kwargs: Any) -> Tensor | None:
    soft = _soft(args[0])
    soft = _soft(args[0], "linear") if soft is None else soft
    hard = func(*args, **kwargs)
    if not isinstance(hard, Tensor):
        return None
    if soft is not None:
        return with_slope_of(hard, soft) if hard.is_floating_point() else _remember(hard, soft, "linear")
    if slopes(args[0]) and not hard.is_floating_point():
        return _remember(hard, args[0], "linear")
    return None


def _integer_sum(func: Function, args: Any, kwargs: Any) -> Tensor | None:
    linear = _soft(args[0], "linear")
    if linear is None or len(args) < 2:
        return _product(func, args, kwargs)
    hard = func(*args, **kwargs)
    soft = INTEGER_SUMS[func.__name__](linear, args[1])
    return with_slope_of(hard, soft) if hard.is_floating_point() else _remember(hard, soft, "linear")


def _product(func: Function, args: Any, kwargs: Any) -> Tensor | None:  # noqa: ARG001
    if func.__name__ not in PRODUCTS or len(args) < 2:
        return None
    softs = [_soft(each) for each in args[:2]]
    if all(each is None for each in softs):
        return None
    numbers = [
        arg if soft is None else with_slope_of(arg.float(), soft) for arg, soft in zip(args[:2], softs, strict=True)
    ]
    return numbers[0] * numbers[1]


def _where(func: Function, args: Any, kwargs: Any) -> Tensor | None:
    soft = _soft(args[0])
    return None if soft is None or len(args) < 3 else _blend(func(*args, **kwargs), soft, args[1], args[2])


def _masked_fill(func: Function, args: Any, kwargs: Any) -> Tensor | None:  # noqa: ARG001
    soft = _soft(args[1]) if len(args) > 2 else None
    if soft is None or not isinstance(args[2], int | float) or abs(args[2]) > 1e6:
        return None
    hard = torch.masked_fill(args[0].detach(), *args[1:], **kwargs)
    return _blend(hard, soft, args[2], args[0])


def _blend(hard: Tensor, soft: Tensor, yes: Any, no: Any) -> Tensor:
    return with_slope_of(hard, soft * yes + (1 - soft) * no)


def _bucket(func: Function, args: Any, kwargs: Any) -> Tensor | None:
    values, bounds = args[:2] if func.__name__ == "bucketize" else args[1::-1]
    if not slopes(values) or not isinstance(bounds, Tensor) or bounds.ndim != 1:
        return None
    width = (bounds.amax() - bounds.amin()).clamp_min(1e-6) / max(len(bounds) - 1, 1) / 2
    passed = ((values[..., None] - bounds) / width).sigmoid().sum(-1)
    return _remember(func(*args, **kwargs), passed, "linear")


def _top(func: Function, args: Any, kwargs: Any) -> Any:
    values = args[0]
    along = kwargs.get("dim", args[2] if len(args) > 2 else -1)
    if not slopes(values):
        return None
    found = func(*args, **kwargs)
    least = found.values.detach().amin(along, keepdim=True)
    _remember(found.indices, ((values - least) / _width(values)).sigmoid())
    return found


def _scatter(func: Function, args: Any, kwargs: Any) -> Tensor | None:
    soft = _soft(args[2]) if len(args) > 2 and isinstance(args[2], Tensor) else None
    if soft is None or soft.shape != args[0].shape or slopes(args[0]):
        return None
    return _remember(func(*args, **kwargs), soft)


RULES: dict[str, Rule] = {
    **dict.fromkeys(LEVELS | LIMITS, _level),
    **dict.fromkeys(SIGNS, _sign),
    **dict.fromkeys(CUTS, _uncut),
    **dict.fromkeys(ABOVE, _compare(1.0)),
    **dict.fromkeys(BELOW, _compare(-1.0)),
    **dict.fromkeys(("__invert__", "logical_not", "bitwise_not"), _logic(lambda x: 1 - x)),
    **dict.fromkeys(("__or__", "logical_or", "bitwise_or"), _logic(lambda x, y: x + y - x * y)),
    **dict.fromkeys(CHOICES, _choose),
    **dict.fromkeys(("embedding", "__getitem__"), _look_up),
    **dict.fromkeys(TO_NUMBERS | TO_INTEGERS, _to_numbers),
    **dict.fromkeys(PRODUCTS, _product),
    **dict.fromkeys(INTEGER_SUMS, _integer_sum),
    **dict.fromkeys(("bucketize", "searchsorted"), _bucket),
    **dict.fromkeys(("scatter", "scatter_"), _scatter),
    "topk": _top,
    "one_hot": _one_hot,
    "where": _where,
    "masked_fill": _masked_fill,
}
