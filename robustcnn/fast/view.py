"""Fast views of a model: the same function, arranged for the one thing an attack asks for, gradients of the input.

A view only searches. What it finds is believed when the plain arithmetic (`exact`) agrees, and the judge looks once
more with the model itself. A view that does not agree with its model on a probe batch is not used.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from itertools import product

import torch
from torch import Tensor, nn

from robustcnn.core.runtime import Precision, evaluating, first_line, out_of_memory, seeded, usable
from robustcnn.fast.plain_view import PlainView, View, beneath, logits_of
from robustcnn.fast.rearranged import in_bf16, rearranged, shorten_convolutions

TOLERANCE = {"fp32": (1e-5, 1e-5), "short": (1e-3, 0.1), "bf16": (0.3, 0.5)}
"""Largest relative errors of logits and of input gradients on the probe batch; bf16 only proposes and may be coarse.

Rounding may carry a few ReLUs over their kinks, which moves gradients, on the short way in float32.
"""
PLAINLY = "attacking the plain model, which is slower"

Look = Callable[[Tensor], Tensor]
LAYOUTS = (torch.channels_last, torch.contiguous_format)
"""Of images in memory: the faster one, and the one that every model can take."""


class FastView(View):
    """Another arrangement of a model; should it ever fail on images where the model itself does not, it is left.

    A `compiled` one is shown batches of a few sizes only, because every new size is compiled anew.
    """

    def __init__(
        self,
        search: nn.Module,
        *,
        origin: nn.Module | None = None,
        layout: torch.memory_format = LAYOUTS[0],
        chunk: int | None = None,
        compiled: bool = False,
    ) -> None:
        super().__init__(chunk=chunk)
        self.search, self.layout = search, layout
        # Not a part of the view: its weights and modes are its owner's.
        self._origin = None if origin is None else (PlainView(origin),)
        self._left = False
        self.look = _of_few_sizes(_compiled(search)) if compiled else search

    def forward(self, images: Tensor) -> Tensor:
        return self._shown(self.look, images)

    def _shown(self, look: Look, images: Tensor) -> Tensor:
        if not self._left:
            try:
                return _joined([_laid_out(look, part, self.layout) for part in self.parts(images)])
            except Exception as problem:
                if self._origin is None or out_of_memory(problem):
                    raise
                answer = self._plainly(images)
                warnings.warn(f"{PLAINLY}: {first_line(problem)}", stacklevel=2)
                self._left = True
                return answer
        return self._plainly(images)

    def _plainly(self, images: Tensor) -> Tensor:
        assert self._origin is not None
        (origin,) = self._origin
        with evaluating(origin):
            return _joined([origin(part) for part in self.parts(images)])


class CoarseView(FastView):
    """Searches in less precision than counts; what seems to succeed has to be asked again of `exact`."""

    def __init__(
        self,
        search: nn.Module,
        plain: nn.Module,
        *,
        origin: nn.Module | None = None,
        layout: torch.memory_format = LAYOUTS[0],
        compiled: bool = False,
    ) -> None:
        super().__init__(search, origin=origin, layout=layout, compiled=compiled)
        self.plain = plain

    def exact(self, images: Tensor) -> Tensor:
        """Float32 logits."""
        with torch.no_grad():
            return self._shown(self.plain, images)

    def fine(self) -> FastView:
        """The view to search in float32 with."""
        origin = self._origin[0].model if self._origin else None
        return FastView(self.plain, origin=origin, layout=self.layout, chunk=self.chunk)


def exact_logits(model: nn.Module, images: Tensor) -> Tensor:
    """The logits that count: the exact ones where the model is a coarse view of another, else its own."""
    logits: Tensor = model.exact(images) if isinstance(model, CoarseView) else model(images)
    return logits


def _laid_out(look: Look, images: Tensor, layout: torch.memory_format) -> Tensor:
    if images.ndim == 4:
        images = images.contiguous(memory_format=layout)
    return logits_of(look(images)).float()


def _joined(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts)


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
    model = beneath(model)
    probe = _roughened(probe)
    with evaluating(model):
        found, problem = _first_that_agrees(model, probe)
        if found is None:
            warnings.warn(f"{PLAINLY}: {problem}", stacklevel=2)
            return model
        plain, layout = found
        coarse = None
        if usable(precision, probe.device) != "fp32":
            coarse = _coarse(model, plain, probe, layout, precision)
        if steady and not compiled and not probe.is_cuda:
            _shorten(model, plain, probe, layout)
    if coarse is None:
        return FastView(plain, origin=model, layout=layout, compiled=compiled)
    return CoarseView(coarse, plain, origin=model, layout=layout, compiled=compiled)


Found = tuple[nn.Module, torch.memory_format]


def _first_that_agrees(model: nn.Module, probe: Tensor) -> tuple[Found | None, str]:
    """A rearranged copy with the layout that it takes; without one, what was wrong with the first that was tried."""
    problems = []
    for layout, folded in product(LAYOUTS, (True, False)):
        # Copied, cast to float64 and shown other layouts, models may raise, or warn of, anything.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                plain = rearranged(model, probe, layout, folded=folded)
                # In float64, where rounding carries no ReLU over its kink: what differs there is another function.
                exact, precise = copy.deepcopy(model).double(), probe.double()
                _check(exact, rearranged(exact, precise, layout, folded=folded), precise, "fp32", layout)
                # What works in float64 need not do so in float32.
                _answers(_laying_out(plain, layout), probe)
                return (plain, layout), ""
            except Exception as problem:
                problems.append(first_line(problem))
    return None, problems[0]


def _coarse(
    model: nn.Module, plain: nn.Module, probe: Tensor, layout: torch.memory_format, precision: Precision
) -> nn.Module | None:
    try:
        coarse = in_bf16(plain)
        _check(model, coarse, probe, precision, layout)
    except Exception as problem:
        warnings.warn(f"attacking in float32, which is slower: {first_line(problem)}", stacklevel=3)
        return None
    return coarse


def _shorten(model: nn.Module, plain: nn.Module, probe: Tensor, layout: torch.memory_format) -> None:
    """In place, as long as it stays the same function; each way has been compared by itself already."""
    before = shorten_convolutions(plain, probe)
    try:
        if before:
            _check(model, plain, probe, "short", layout)
    except Exception:  # of any kind: the convolutions as they were work
        for parent, name, convolution in before:
            setattr(parent, name, convolution)


class _Disagreement(ValueError):
    """The view is another function than its model."""


def _check(model: nn.Module, view: nn.Module, probe: Tensor, precision: str, layout: torch.memory_format) -> None:
    """Logits and input gradients on the probe batch, which the view has to leave as it is."""
    shown = _laying_out(view, layout)
    try:
        expected, given = _answers(PlainView(model), probe), _answers(shown, probe)
        kept = probe.clone(memory_format=layout if probe.ndim == 4 else torch.contiguous_format)
        with torch.no_grad():
            shown(kept)
    except Exception as problem:
        raise _Disagreement(f"its {precision} view cannot be checked ({first_line(problem)})") from None
    if not torch.equal(kept, probe):
        raise _Disagreement("the model changes the images that it is shown")
    names = ("logits", "input gradients")
    for name, ours, theirs, allowed in zip(names, given, expected, TOLERANCE[precision], strict=True):
        error = ((ours - theirs).norm() / theirs.norm().clamp_min(torch.finfo(theirs.dtype).tiny)).item()
        if not error <= allowed:
            raise _Disagreement(f"{name} of its {precision} view are off by {error:.1e} (at most {allowed:g})")


def _roughened(probe: Tensor) -> Tensor:
    """Half noise, because in flat areas max-pooling meets ties, which two arrangements may break differently."""
    noise = torch.rand(probe.shape, generator=seeded(0), dtype=probe.dtype)
    return torch.lerp(probe, noise.to(probe.device), 0.5)


def _laying_out(view: nn.Module, layout: torch.memory_format) -> Look:
    return lambda images: _laid_out(view, images, layout)


def _answers(look: Look, probe: Tensor) -> tuple[Tensor, Tensor]:
    leaf = probe.detach().clone().requires_grad_()
    with torch.enable_grad():
        logits = look(leaf)
        # A direction that no class is left out of, and that no symmetry between classes cancels.
        weight = torch.linspace(-1, 1, logits.shape[1], dtype=logits.dtype, device=logits.device)
        if not logits.requires_grad:
            return logits, torch.zeros_like(leaf)
        (gradient,) = torch.autograd.grad((logits * weight).sum(), leaf)
    return logits.detach(), gradient
