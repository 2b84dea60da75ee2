"""Fast views of a model: the same function, arranged for the one thing an attack asks for, gradients of the input.

A view only searches. What it finds is believed when the plain arithmetic (`exact`) agrees, and the judge looks once
more with the model itself. A view that does not agree with its model on a probe batch is not used.
"""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn

from robustcnn.core.runtime import HALVES, Precision, evaluating, first_line, out_of_memory, usable
from robustcnn.fast.agreement import LAYOUTS, Look, Showing, answers, check, roughened, writes_into
from robustcnn.fast.compiled import Compiled
from robustcnn.fast.plain_view import PlainView, View, beneath, own_precision
from robustcnn.fast.rearranged import (
    BARE,
    BETWEEN,
    WHOLE,
    Arrangement,
    copied,
    in_half,
    rearranged,
    shorten_convolutions,
)

PLAINLY = "attacking the plain model, which is slower"


class FastView(View):
    """Another arrangement of a model; should it ever fail on images where the model itself does not, it is left.

    A `compiled` one is shown batches of a few sizes only, because every new size is compiled anew.
    """

    def __init__(
        self,
        search: nn.Module,
        *,
        origin: nn.Module | None = None,
        showing: Showing = Showing(),  # noqa: B008  (frozen)
        chunk: int | None = None,
        compiled: bool = False,
    ) -> None:
        super().__init__(chunk=chunk)
        self.search, self.showing = search, showing
        # Not a part of the view: its weights and modes are its owner's.
        self._origin = None if origin is None else (PlainView(origin),)
        self._left, self.compiled = False, compiled
        self.look = Compiled(search) if compiled else search

    def forward(self, images: Tensor) -> Tensor:
        return self._shown(self.look, images)

    def _shown(self, look: Look, images: Tensor) -> Tensor:
        if not self._left:
            try:
                return _joined([self.showing(look, part) for part in self.parts(images)])
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
        showing: Showing = Showing(),  # noqa: B008  (frozen)
        compiled: bool = False,
    ) -> None:
        super().__init__(search, origin=origin, showing=showing, compiled=compiled)
        self.plain = plain

    def exact(self, images: Tensor) -> Tensor:
        """Float32 logits."""
        with torch.no_grad():
            return self._shown(self.plain, images)

    def fine(self) -> FastView:
        """The view to search in float32 with."""
        origin = self._origin[0].model if self._origin else None
        return FastView(self.plain, origin=origin, showing=self.showing, chunk=self.chunk)


def exact_logits(model: nn.Module, images: Tensor) -> Tensor:
    """The logits that count: the exact ones where the model is a coarse view of another, else its own."""
    logits: Tensor = model.exact(images) if isinstance(model, CoarseView) else model(images)
    return logits


def _joined(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts)


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
    probe = roughened(probe)
    with evaluating(model):
        found, problem = _first_that_agrees(model, probe)
        if found is None:
            warnings.warn(f"{PLAINLY}: {problem}", stacklevel=2)
            return model
        plain, showing = found
        coarse = None
        if usable(precision, probe.device) != "fp32":
            coarse = _coarse(model, plain, probe, showing, precision)
        if steady and not compiled and not probe.is_cuda:
            _shorten(model, plain, probe, showing)
    if own_precision(model) in HALVES.values():
        # Rounds otherwise than float32, which therefore only proposes.
        return CoarseView(coarse or plain, PlainView(model), origin=model, showing=showing, compiled=compiled)
    if coarse is None:
        return FastView(plain, origin=model, showing=showing, compiled=compiled)
    return CoarseView(coarse, plain, origin=model, showing=showing, compiled=compiled)


Found = tuple[nn.Module, Showing]


def _first_that_agrees(model: nn.Module, probe: Tensor) -> tuple[Found | None, str]:
    """A rearranged copy and how it is shown images; without one, what was wrong with the first that was tried."""
    problems: list[str] = []

    def tried(arrangement: Arrangement, showing: Showing) -> Found | None:
        # Copied, cast to float64 and shown other layouts, models may raise, or warn of, anything.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                return _checked(model, probe, showing, arrangement), showing
            except Exception as problem:
                problems.append(first_line(problem))
                return None

    writes = writes_into(model, probe)
    for showing in (Showing(layout=layout, copied=writes) for layout in LAYOUTS):
        if found := tried(WHOLE, showing):
            return found, ""
        # Whoever does not take the least will not take more.
        if least := tried(BARE, showing):
            more = (tried(arrangement, showing) for arrangement in BETWEEN)
            return next(filter(None, more), least), ""
    return None, problems[0]


def _checked(model: nn.Module, probe: Tensor, showing: Showing, arrangement: Arrangement) -> nn.Module:
    """The model in float32, arranged in this way; raises where it is another function."""
    single = model if own_precision(model) in (None, torch.float32) else copied(model).float()
    plain = rearranged(single, probe, showing.layout, arrangement)
    # In float64, where rounding carries no ReLU over its kink: what differs there is another function.
    exact, precise = copied(model).double(), probe.double()
    check(exact, rearranged(exact, precise, showing.layout, arrangement), precise, "fp32", showing)
    # What works in float64 need not do so in float32.
    answers(showing.of(plain), probe)
    return plain


def _coarse(
    model: nn.Module, plain: nn.Module, probe: Tensor, showing: Showing, precision: Precision
) -> nn.Module | None:
    try:
        coarse = in_half(plain, HALVES[precision])
        check(model, coarse, probe, precision, showing)
    except Exception as problem:
        warnings.warn(f"attacking in float32, which is slower: {first_line(problem)}", stacklevel=3)
        return None
    return coarse


def _shorten(model: nn.Module, plain: nn.Module, probe: Tensor, showing: Showing) -> None:
    """In place, as long as it stays the same function; each way has been compared by itself already."""
    before = shorten_convolutions(plain, probe)
    try:
        if before:
            check(model, plain, probe, "short", showing)
    except Exception:  # of any kind: the convolutions as they were work
        for parent, name, convolution in before:
            setattr(parent, name, convolution)
