"""A fast view of a model whose weights move: checked when it is made, brought up to date in place ever after."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from robustcnn.core.layer_kinds import Settling
from robustcnn.core.runtime import Precision, evaluating
from robustcnn.fast.agreement import Disagreement, check, roughened
from robustcnn.fast.layers import ScaleShift, WholeMap, scale_and_shift
from robustcnn.fast.view import CoarseView, FastView, fast_view

Source = Callable[[], Tensor]
"""What a tensor of the view has to be now."""


class LiveView:
    """`view()` searches as the model would now; where no fast view agrees with the model it is the model itself."""

    def __init__(
        self, model: nn.Module, probe: Tensor, *, precision: Precision = "fp32", compiled: bool = False
    ) -> None:
        self.model = model
        view = fast_view(model, probe, precision=precision, steady=False)
        self.is_fast = isinstance(view, FastView)
        self._precision = "bf16" if isinstance(view, CoarseView) else "fp32"
        self._view: nn.Module = model
        self._moving: list[tuple[Tensor, Source]] = []
        self._shared: list[tuple[Tensor, Source]] = []
        if isinstance(view, FastView):
            self._view = FastView(view.search, origin=model, showing=view.showing, compiled=compiled)
            for tensor, source in _tensors(model, view.search):
                now = source()
                if now.dtype == tensor.dtype and now.data_ptr() == source().data_ptr():
                    tensor.data = now.data
                    self._shared.append((tensor, source))
                else:
                    self._moving.append((tensor, source))

    @torch.no_grad()
    def view(self) -> nn.Module:
        for tensor, source in self._moving:
            tensor.copy_(source())
        return self._view

    def follows(self, probe: Tensor) -> bool:
        """Whether it still is the same function as the model: checked as when it was made, but for compiling."""
        if not isinstance(self._view, FastView):
            return False
        if any(tensor.data_ptr() != source().data_ptr() for tensor, source in self._shared):
            return False
        self.view()
        try:
            with evaluating(self.model):
                check(self.model, self._view.search, roughened(probe), self._precision, self._view.showing)
        except Disagreement:
            return False
        return True


class LiveViews:
    """One for each epoch: checked anew, and made anew unless compiling it has taken time."""

    def __init__(self, *, compiled: bool = False) -> None:
        self.compiled, self._kept = compiled, list[LiveView]()

    def __call__(self, model: nn.Module, probe: Tensor, precision: Precision) -> LiveView:
        if self._kept and self._kept[0].model is model and self._kept[0].follows(probe):
            return self._kept[0]
        made = LiveView(model, probe, precision=precision, compiled=self.compiled)
        self._kept = [made] if self.compiled else []
        return made


def _tensors(model: nn.Module, view: nn.Module) -> Iterator[tuple[Tensor, Source]]:
    """All of the view; what is no tensor of the model's own has to be made anew."""
    norms = dict(_folded(model, view))
    for name, module in view.named_modules():
        tensors = (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False))
        for key, tensor in tensors:
            yield tensor, _source(module, model.get_submodule(name), norms.get(name), key)


def _folded(model: nn.Module, view: nn.Module) -> Iterator[tuple[str, nn.BatchNorm2d]]:
    """Which convolution of the view has taken in which batch norm of the model."""
    for path, parent in model.named_modules():
        before = ""
        for name, child in parent.named_children():
            here = f"{path}.{name}".removeprefix(".")
            if isinstance(child, nn.BatchNorm2d) and isinstance(view.get_submodule(here), nn.Identity):
                yield before, child
            before = here


def _source(module: nn.Module, origin: nn.Module, norm: nn.BatchNorm2d | None, key: str) -> Source:
    if isinstance(module, ScaleShift) and isinstance(origin, nn.BatchNorm2d):
        batch_norm = origin
        return lambda: scale_and_shift(batch_norm)[key == "shift"][:, None, None]

    def now() -> Tensor:
        # Some layers have another form once their weights stand still.
        value = getattr(origin.frozen() if isinstance(origin, Settling) else origin, key)
        if norm is not None:
            value = _fold(value, key, *scale_and_shift(norm))
        as_matrix = isinstance(module, WholeMap) and key == "weight"
        return value.permute(0, 2, 3, 1).flatten(1) if as_matrix else value  # type: ignore[no-any-return]

    return now


def _fold(value: Tensor | None, key: str, scale: Tensor, shift: Tensor) -> Tensor:
    """A convolution's weight, or its bias if it has one, with the batch norm behind it taken in."""
    if value is None:
        return shift
    return value * scale + shift if key == "bias" else value * scale[:, None, None, None]
