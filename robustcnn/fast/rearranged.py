"""A copy of a model, arranged for gradients of the input; whether it is the same function is for others to ask."""

from __future__ import annotations

import copy
from typing import TypeGuard

import torch
from torch import Tensor, nn

from robustcnn.core.conv_arithmetic import Pair
from robustcnn.core.layer_kinds import Settling
from robustcnn.core.runtime import first_line
from robustcnn.fast.layers import InputConvolution, ScaleShift, WholeMap, scale_and_shift
from robustcnn.fast.winograd import winograd_for


def rearranged(model: nn.Module, probe: Tensor, layout: torch.memory_format, *, folded: bool = True) -> nn.Module:
    """A frozen copy that should compute the same in fewer passes over memory; `folded`: where batch norms stand behind
    convolutions, they are taken to run there."""
    try:
        view = copy.deepcopy(model).eval()
    except Exception as problem:
        raise ValueError(f"the model cannot be copied ({first_line(problem)})") from None
    for parameter in view.parameters():
        parameter.requires_grad_(False)
    for module in list(view.modules()):
        _rearrange_children(module, folded)
    _replace_whole_map_convolutions(view, probe)
    if not next(view.parameters(), torch.empty(0)).is_cuda:
        _replace_input_convolution(view)
    return view.to(memory_format=layout)


def _rearrange_children(parent: nn.Module, folded: bool) -> None:
    """Only what is surely the same by itself, or stands next to each other as if it ran so: the probe will tell."""
    before: nn.Module | None = None
    for name, child in list(parent.named_children()):
        if isinstance(child, Settling):
            setattr(parent, name, child.frozen())
        elif type(child) is nn.BatchNorm2d and not _has_hooks(child):
            if folded and before is not None and _is_plain(before) and before.out_channels == child.num_features:
                _fold(before, child)
                setattr(parent, name, nn.Identity())
            else:
                setattr(parent, name, ScaleShift(child))
        elif type(child) is nn.ReLU:
            child.inplace = True
        before = getattr(parent, name)


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


def in_bf16(view: nn.Module) -> nn.Module:
    """A copy whose layers compute in bfloat16; what happens to the pixels before the first of them stays in float32."""
    half = copy.deepcopy(view)
    for module in half.modules():
        if not list(module.children()) and list(module.state_dict()):
            module.to(torch.bfloat16)
            module.register_forward_pre_hook(_cast)
    return half


def _cast(_: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(each.to(torch.bfloat16) for each in inputs)
