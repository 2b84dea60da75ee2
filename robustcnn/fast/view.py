"""Fast views of a model: the same function, arranged for the one thing an attack asks for, gradients of the input.

A view only searches. What it finds is believed when the plain arithmetic (`exact`) agrees, and the judge looks once
more with the model itself. A view that does not agree with its model on a probe batch is not used.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn

from robustcnn.core.conv_arithmetic import Pair
from robustcnn.core.runtime import Precision, evaluating, seeded, usable
from robustcnn.fast.layers import InputConvolution, ScaleShift, WholeMap, scale_and_shift
from robustcnn.fast.winograd import winograd_for

TOLERANCE = {"fp32": (1e-5, 1e-5), "bf16": (0.3, 0.5)}
"""Largest relative errors of logits and of input gradients on the probe batch; bf16 only proposes and may be coarse."""

Look = Callable[[Tensor], Tensor]


class FastView(nn.Module):
    """Another arrangement of a model; `chunk` is how many images are best looked at together.

    A `compiled` one is shown batches of a few sizes only, because every new size is compiled anew.
    """

    def __init__(self, search: nn.Module, *, chunk: int | None = None, compiled: bool = False) -> None:
        super().__init__()
        self.search, self.chunk = search, chunk
        self.look = _of_few_sizes(_compiled(search)) if compiled else search

    def forward(self, images: Tensor) -> Tensor:
        return self._in_chunks(self.look, images)

    def _in_chunks(self, look: Look, images: Tensor) -> Tensor:
        if self.chunk is None or len(images) <= self.chunk:
            return _laid_out(look, images)
        return torch.cat([_laid_out(look, part) for part in images.split(self.chunk)])


class CoarseView(FastView):
    """Searches in less precision than counts; what seems to succeed has to be asked again of `exact`."""

    def __init__(self, search: nn.Module, plain: nn.Module, *, compiled: bool = False) -> None:
        super().__init__(search, compiled=compiled)
        self.plain = plain

    def exact(self, images: Tensor) -> Tensor:
        """Float32 logits."""
        with torch.no_grad():
            return self._in_chunks(self.plain, images)

    def fine(self) -> FastView:
        """The view to search in float32 with."""
        return FastView(self.plain, chunk=self.chunk)


def exact_logits(model: nn.Module, images: Tensor) -> Tensor:
    """The logits that count: those of `model.exact` when the model is a fast view of another, else its own."""
    exact: Callable[[Tensor], Tensor] = getattr(model, "exact", model)
    return exact(images)


def _laid_out(look: Look, images: Tensor) -> Tensor:
    if images.ndim == 4:
        images = images.contiguous(memory_format=torch.channels_last)
    return look(images).float()


def _compiled(view: nn.Module) -> Look:
    on_gpu = next(view.parameters(), torch.empty(0)).is_cuda
    # Recorded as CUDA graphs: a small network is done sooner than its kernels can be launched one by one.
    look: Look = torch.compile(view, dynamic=False, mode="reduce-overhead" if on_gpu else None)
    return look


def _of_few_sizes(look: Look) -> Look:
    """Fills a batch up to a power of two; the copies also outlive a CUDA graph's own memory."""

    def padded(images: Tensor) -> Tensor:
        missing = (1 << (len(images) - 1).bit_length()) - len(images)
        filled = torch.cat([images, images.new_zeros(missing, *images.shape[1:])])
        return look(filled)[: len(images)].clone()

    return padded


def fast_view(
    model: nn.Module,
    probe: Tensor,
    *,
    precision: Precision = "fp32",
    compiled: bool = False,
    steady: bool = True,
) -> nn.Module:
    """A fast view of `model`, or the model itself, with a warning, where none agrees with it on the `probe` images.

    `steady` are weights that will not change as long as the view is used: much can be worked out once.
    """
    probe = _roughened(probe)
    with evaluating(model):
        try:
            plain = _rearranged(model, probe)
            # All in float64, so that rounding carries no ReLU over its kink: what differs there is another function.
            exact = copy.deepcopy(model).double()
            _check(exact, _rearranged(exact, probe.double()), probe.double(), "fp32")
        except (ValueError, TypeError, RuntimeError) as problem:
            first = str(problem).splitlines()[0]
            warnings.warn(f"attacking the plain model, which is slower: {first}", stacklevel=2)
            return model
        coarse = None if usable(precision, probe.device) == "fp32" else _in_bf16(plain)
        if steady and not compiled and not probe.is_cuda:
            _shorten_convolutions(plain, probe)
        if coarse is None:
            return FastView(plain, compiled=compiled)
        try:
            _check(model, coarse, probe, precision)
        except _Disagreement as problem:
            warnings.warn(f"attacking in float32, which is slower: {problem}", stacklevel=2)
            return FastView(plain, compiled=compiled)
    return CoarseView(coarse, plain, compiled=compiled)


class _Disagreement(ValueError):
    """The view is another function than its model."""


def _check(model: nn.Module, view: nn.Module, probe: Tensor, precision: Precision) -> None:
    """Logits and input gradients on the probe batch."""
    try:
        expected, given = _answers(model, probe), _answers(view, probe)
    except (RuntimeError, TypeError, ValueError) as problem:
        raise _Disagreement(f"its {precision} view cannot be checked ({str(problem).splitlines()[0]})") from None
    names = ("logits", "input gradients")
    for name, ours, theirs, allowed in zip(names, given, expected, TOLERANCE[precision], strict=True):
        error = ((ours - theirs).norm() / theirs.norm().clamp_min(torch.finfo(theirs.dtype).tiny)).item()
        if not error <= allowed:
            raise _Disagreement(f"{name} of its {precision} view are off by {error:.1e} (at most {allowed:g})")


def _roughened(probe: Tensor) -> Tensor:
    """Half noise, because in flat areas max-pooling meets ties, which two arrangements may break differently."""
    noise = torch.rand(probe.shape, generator=seeded(0), dtype=probe.dtype)
    return torch.lerp(probe, noise.to(probe.device), 0.5)


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


def _rearranged(model: nn.Module, probe: Tensor) -> nn.Module:
    """A frozen copy that computes the same in fewer passes over memory."""
    try:
        view = copy.deepcopy(model).eval()
    except Exception as problem:
        raise _Disagreement(f"the model cannot be copied ({problem})") from None
    for parameter in view.parameters():
        parameter.requires_grad_(False)
    for module in list(view.modules()):
        _rearrange_children(module)
    _replace_whole_map_convolutions(view, probe)
    if not next(view.parameters(), torch.empty(0)).is_cuda:
        _replace_input_convolution(view)
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


def _shorten_convolutions(view: nn.Module, probe: Tensor) -> None:
    for parent, name, convolution, size in _convolutions(view, probe):
        if short := winograd_for(convolution, size):
            setattr(parent, name, short)


def _convolutions(view: nn.Module, probe: Tensor) -> list[tuple[nn.Module, str, nn.Conv2d, Pair]]:
    """Each with its parent, its name there, and the size of the maps that it sees."""
    sizes: dict[nn.Module, Pair] = {}

    def note(convolution: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        # Whoever is called by keyword, or with one image, keeps its way.
        if inputs and inputs[0].ndim == 4:
            sizes[convolution] = (inputs[0].shape[2], inputs[0].shape[3])

    hooks = [each.register_forward_pre_hook(note) for each in view.modules() if type(each) is nn.Conv2d]
    with torch.no_grad():
        view(probe[:1])
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
            if type(child) is nn.Conv2d:
                plain = child.stride == child.dilation == (1, 1) and child.groups == 1 and child.padding_mode == "zeros"
                if plain and child.in_channels <= 4 and not isinstance(child.padding, str):
                    setattr(parent, name, InputConvolution(child))
                return


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
