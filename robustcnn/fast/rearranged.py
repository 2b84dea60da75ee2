"""A copy of a model, arranged for gradients of the input; whether it is the same function is for others to ask."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, TypeGuard

import torch
from torch import Tensor, nn

from robustcnn.core.conv_arithmetic import Pair
from robustcnn.core.layer_kinds import Settling
from robustcnn.core.runtime import first_line
from robustcnn.core.tanh import TanhBySigmoid
from robustcnn.fast.layers import InputConvolution, ScaleShift, WholeMap, scale_and_shift
from robustcnn.fast.winograd import winograd_for


@dataclass(frozen=True, kw_only=True, slots=True)
class Arrangement:
    """What is put in the place of what; a model that reads or writes its own layers may not take all of it."""

    norms: Literal["folded", "scaled", "kept"] = "folded"
    """Batch norms taken into the convolutions that stand before them, or one pass each, or as they are."""
    in_place: bool = True
    """Rectifiers that write into their input."""
    others: bool = True
    """Other layers for the first convolution, for those that see all of their map at once, and for tangents."""


WHOLE, BARE = Arrangement(), Arrangement(norms="kept", in_place=False, others=False)
BETWEEN = (
    Arrangement(norms="scaled"),
    Arrangement(in_place=False),
    Arrangement(norms="scaled", in_place=False),
    Arrangement(norms="kept", in_place=False),
)
"""The faster ones first."""


def rearranged(
    model: nn.Module, probe: Tensor, layout: torch.memory_format, arrangement: Arrangement = WHOLE
) -> nn.Module:
    """A frozen copy that should compute the same in fewer passes over memory."""
    view = copied(model)
    for module in list(view.modules()):
        _rearrange_children(module, arrangement)
    if arrangement.others:
        _replace_whole_map_convolutions(view, probe)
        if not next(view.parameters(), torch.empty(0)).is_cuda:
            _replace_input_convolution(view)
            _replace_tangents(view)
    return view.to(memory_format=layout)


@torch.no_grad()  # in a graph, the weights of scripted models would come out as results
def copied(model: nn.Module) -> nn.Module:
    """In evaluation mode, the weights frozen."""
    # What it keeps of its last answers is in their graph, and has to be copied by itself.
    memo: dict[int, Any] = {id(each): each.detach().clone() for each in _results(model)}
    try:
        view = copy.deepcopy(model, memo).eval()
    except Exception as problem:
        raise ValueError(f"the model cannot be copied ({first_line(problem)})") from None
    for parameter in view.parameters():
        parameter.requires_grad_(False)
    return view


def _results(model: nn.Module) -> Iterator[Tensor]:
    """Tensors that some module keeps, and that were computed from weights or images."""
    for module in model.modules():
        for kept in vars(module).values():
            values = kept.values() if isinstance(kept, dict) else kept if isinstance(kept, list | tuple) else (kept,)
            yield from (each for each in values if isinstance(each, Tensor) and each.grad_fn is not None)


def _rearrange_children(parent: nn.Module, arrangement: Arrangement) -> None:
    """Only what is surely the same by itself, or stands next to each other as if it ran so: the probe will tell."""
    before: nn.Module | None = None
    for name, child in list(parent.named_children()):
        if isinstance(child, Settling):
            setattr(parent, name, child.frozen())
        elif type(child) is nn.BatchNorm2d and not _has_hooks(child):
            _rearrange_norm(parent, name, child, before, arrangement)
        elif type(child) is nn.ReLU and arrangement.in_place:
            child.inplace = True
        before = getattr(parent, name)


def _rearrange_norm(
    parent: nn.Module, name: str, norm: nn.BatchNorm2d, before: nn.Module | None, arrangement: Arrangement
) -> None:
    scale_and_shift(norm)  # raises where the norm's answers depend on the batch
    folded = arrangement.norms == "folded"
    if folded and before is not None and _is_plain(before) and before.out_channels == norm.num_features:
        _fold(before, norm)
        setattr(parent, name, nn.Identity())
    elif arrangement.norms != "kept":
        setattr(parent, name, ScaleShift(norm))


def _is_plain(module: nn.Module) -> TypeGuard[nn.Conv2d]:
    """Whether it is a convolution and nothing else."""
    return type(module) is nn.Conv2d and not _has_hooks(module)


def _has_hooks(module: nn.Module) -> bool:
    return bool(module._forward_hooks or module._forward_pre_hooks or module._backward_hooks)


def _fold(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    scale, shift = scale_and_shift(norm)
    bias = shift if convolution.bias is None else convolution.bias * scale + shift
    convolution.weight = nn.Parameter(convolution.weight * scale[:, None, None, None], requires_grad=False)
    convolution.bias = nn.Parameter(bias, requires_grad=False)


def _replace_whole_map_convolutions(view: nn.Module, probe: Tensor) -> None:
    """Those that, on images of the probe's size, look at all of their map at once."""
    for parent, name, convolution, size in _convolutions(view, probe):
        if convolution.groups == 1 and convolution.padding == (0, 0) and size == convolution.kernel_size:
            setattr(parent, name, WholeMap(convolution))


def _replace_tangents(view: nn.Module) -> None:
    for parent in list(view.modules()):
        for name, child in parent.named_children():
            if type(child) is nn.Tanh and not _has_hooks(child):
                setattr(parent, name, TanhBySigmoid())


def shorten_convolutions(view: nn.Module, probe: Tensor) -> list[tuple[nn.Module, str, nn.Conv2d]]:
    """Put a shorter way in the place of those that have one; gives what was where before."""
    before = []
    for parent, name, convolution, size in _convolutions(view, probe):
        if short := winograd_for(convolution, size):
            before.append((parent, name, convolution))
            setattr(parent, name, short)
    return before


def _convolutions(view: nn.Module, probe: Tensor) -> list[tuple[nn.Module, str, nn.Conv2d, Pair]]:
    """Each with its parent, its name there, and the size of the maps that it sees."""
    sizes: dict[nn.Module, Pair] = {}

    def note(convolution: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        # Whoever is called by keyword, or with one image, keeps its way.
        if inputs and inputs[0].ndim == 4:
            sizes[convolution] = (inputs[0].shape[2], inputs[0].shape[3])

    hooks = [each.register_forward_pre_hook(note) for each in view.modules() if _is_plain(each)]
    try:
        with torch.no_grad():
            view(probe[:1].clone())
    finally:
        for hook in hooks:
            hook.remove()
    return [
        (parent, name, child, sizes[child])
        for parent in view.modules()
        for name, child in parent.named_children()
        if isinstance(child, nn.Conv2d) and child in sizes
    ]


def _replace_input_convolution(view: nn.Module) -> None:
    """The first convolution that sees an image of few channels, where an `InputConvolution` can stand for it."""
    for parent in view.modules():
        for name, child in parent.named_children():
            if _is_plain(child):
                plain = child.stride == child.dilation == (1, 1) and child.groups == 1 and child.padding_mode == "zeros"
                if plain and child.in_channels <= 4 and not isinstance(child.padding, str):
                    setattr(parent, name, InputConvolution(child))
                return


def in_half(view: nn.Module, kind: torch.dtype) -> nn.Module:
    """A copy whose layers compute in 16 bits; what happens to the pixels before the first of them stays in float32."""
    half = copy.deepcopy(view)
    for module in half.modules():
        if not list(module.children()) and list(module.state_dict()):
            module.to(kind)
            module.register_forward_pre_hook(partial(_cast, kind))
    return half


def _cast(kind: torch.dtype, _: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(each.to(kind) for each in inputs)
