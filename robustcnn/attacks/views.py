"""Fast views of a model: the same function, arranged for the one thing an attack asks for, gradients of the input.

A view only searches. What it finds is believed when the plain arithmetic (`exact`) agrees, and the judge looks once
more with the model itself. A view that does not agree with its model on a probe batch is not used.
"""

from __future__ import annotations

import copy
import warnings

import torch
from torch import Tensor, nn

from robustcnn.runtime import Precision, evaluating

TOLERANCE = 1e-3
"""Largest relative error of logits and input gradients on the probe batch, in float32."""


class FastView(nn.Module):
    """`search` answers quickly, `exact` in float32; `chunk` is how many images are best looked at together."""

    def __init__(self, search: nn.Module, exact: nn.Module, *, chunk: int | None = None) -> None:
        super().__init__()
        self.search, self.plain, self.chunk = search, exact, chunk

    def forward(self, images: Tensor) -> Tensor:
        return self._in_chunks(self.search, images)

    def exact(self, images: Tensor) -> Tensor:
        """Float32 logits, for the few images that seem to have succeeded."""
        with torch.no_grad():
            return self._in_chunks(self.plain, images)

    def _in_chunks(self, model: nn.Module, images: Tensor) -> Tensor:
        if self.chunk is None or len(images) <= self.chunk:
            return _laid_out(model, images)
        return torch.cat([_laid_out(model, part) for part in images.split(self.chunk)])


def _laid_out(model: nn.Module, images: Tensor) -> Tensor:
    if images.ndim == 4:
        images = images.contiguous(memory_format=torch.channels_last)
    logits: Tensor = model(images)
    return logits.float()


def fast_view(
    model: nn.Module, probe: Tensor, *, precision: Precision = "fp32", compiled: bool = False, chunk: int | None = None
) -> nn.Module:
    """A fast view of `model`, or the model itself, with a warning, where none agrees with it on the `probe` images."""
    with evaluating(model):
        try:
            exact = _rearranged(model)
            _check(model, exact, probe)
        except _Disagreement as problem:
            warnings.warn(f"attacking the plain model, which is slower: {problem}", stacklevel=2)
            return model
    search = _in_bf16(exact) if precision == "bf16" else exact
    return FastView(torch.compile(search) if compiled else search, exact, chunk=chunk)  # type: ignore[arg-type]


class _Disagreement(Exception):
    """The view is another function than its model."""


def _check(model: nn.Module, view: nn.Module, probe: Tensor) -> None:
    """Logits and input gradients on the probe batch."""
    for name, ours, theirs in zip(
        ("logits", "input gradients"), _answers(view, probe), _answers(model, probe), strict=True
    ):
        error = ((ours - theirs).norm() / theirs.norm().clamp_min(torch.finfo(theirs.dtype).tiny)).item()
        if not error <= TOLERANCE:
            raise _Disagreement(f"{name} of its fast view are off by {error:.1e} (at most {TOLERANCE:g} is allowed)")


def _answers(model: nn.Module, probe: Tensor) -> tuple[Tensor, Tensor]:
    leaf = probe.detach().clone().requires_grad_()
    with torch.enable_grad():
        logits = _laid_out(model, leaf)
        # A direction that no class is left out of, and that no symmetry between classes cancels.
        weight = torch.linspace(-1, 1, logits.shape[1], dtype=logits.dtype, device=logits.device)
        if not logits.requires_grad:
            return logits, torch.zeros_like(leaf)
        (gradient,) = torch.autograd.grad((logits * weight).sum(), leaf)
    return logits.detach(), gradient


def _rearranged(model: nn.Module) -> nn.Module:
    """A frozen copy that computes the same in fewer passes over memory."""
    try:
        view = copy.deepcopy(model).eval()
    except Exception as problem:
        raise _Disagreement(f"the model cannot be copied ({problem})") from None
    for parameter in view.parameters():
        parameter.requires_grad_(False)
    for module in list(view.modules()):
        _rearrange_children(module)
    return view.to(memory_format=torch.channels_last)


def _rearrange_children(parent: nn.Module) -> None:
    """Only what is surely the same by itself, or stands next to each other as if it ran so: the probe will tell."""
    before: nn.Module | None = None
    for name, child in list(parent.named_children()):
        if hasattr(child, "frozen"):
            setattr(parent, name, child.frozen())  # type: ignore[operator]
        elif isinstance(child, nn.BatchNorm2d):
            if type(before) is nn.Conv2d and before.out_channels == child.num_features:
                _fold(before, child)
                setattr(parent, name, nn.Identity())
            else:
                setattr(parent, name, ScaleShift(child))
        elif isinstance(child, nn.ReLU):
            child.inplace = True
        before = getattr(parent, name)


def _scale_and_shift(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """What batch norm is once its statistics stand still."""
    if norm.running_mean is None or norm.running_var is None:
        raise _Disagreement("its batch norm keeps no statistics, so that its answers depend on the batch")
    scale = torch.rsqrt(norm.running_var + norm.eps)
    if not norm.affine:
        return scale, -norm.running_mean * scale
    return scale * norm.weight, norm.bias - norm.running_mean * scale * norm.weight


def _fold(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    scale, shift = _scale_and_shift(norm)
    bias = shift if convolution.bias is None else convolution.bias * scale + shift
    convolution.weight = nn.Parameter(convolution.weight * scale[:, None, None, None], requires_grad=False)
    convolution.bias = nn.Parameter(bias, requires_grad=False)


class ScaleShift(nn.Module):
    """Batch norm in one pass, where no convolution can take it in."""

    scale: Tensor
    shift: Tensor

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        super().__init__()
        for name, value in zip(("scale", "shift"), _scale_and_shift(norm), strict=True):
            self.register_buffer(name, value.detach()[:, None, None].clone())

    def forward(self, maps: Tensor) -> Tensor:
        return torch.addcmul(self.shift, maps, self.scale)


def _in_bf16(view: nn.Module) -> nn.Module:
    """A copy whose layers compute in bfloat16; what happens to the pixels before the first of them stays in float32."""
    half = copy.deepcopy(view)
    for module in half.modules():
        if not list(module.children()) and list(module.state_dict()):
            module.to(torch.bfloat16)
            module.register_forward_pre_hook(_cast)
    return half


def _cast(_: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(each.to(torch.bfloat16) for each in inputs)
