"""What a network is made of: sizes, receptive fields, parameters and multiply-adds, layer by layer."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from robustcnn.core.conv_arithmetic import Pair, Window, window_of
from robustcnn.core.runtime import evaluating
from robustcnn.core.spec import ImageSpec
from robustcnn.models.lenet import MaskedConv2d, RbfOutput
from robustcnn.models.model_config import ModelConfig
from robustcnn.models.pixel import PixelModel
from robustcnn.models.receptive import FieldTracker
from robustcnn.models.registry import build

TITLES = ("layer", "kind", "kernel", "stride", "padding", "dilation", "output", "field", "parameters", "multiply-adds")


@dataclass(frozen=True, kw_only=True, slots=True)
class Layer:
    """One layer that has weights or a window; activations and dropout are left out."""

    name: str
    kind: str
    window: Window | None
    input: tuple[int, ...]
    """(C, H, W) or (units,) of one image."""
    output: tuple[int, ...]
    field: Pair
    """Input pixels, (height, width), that one output value depends on, padding included."""
    parameters: int
    multiply_adds: int
    """Of one image; normalisations and activations count as nothing."""

    @property
    def cells(self) -> tuple[str, ...]:
        window = ["-"] * 4 if self.window is None else [_times(pair) for pair in self.window]
        size, field = "x".join(map(str, self.output)), _times(self.field)
        return (self.name, self.kind, *window, size, field, f"{self.parameters:,}", f"{self.multiply_adds:,}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Description:
    """All layers of a network in the order in which an image meets them."""

    name: str
    layers: tuple[Layer, ...]

    @property
    def parameters(self) -> int:
        return sum(layer.parameters for layer in self.layers)

    @property
    def multiply_adds(self) -> int:
        return sum(layer.multiply_adds for layer in self.layers)

    @property
    def flops(self) -> int:
        """Floating-point operations of one forward pass of one image: two a multiply-add."""
        return 2 * self.multiply_adds

    def table(self) -> str:
        """One aligned line a layer and one for the totals."""
        total = ("total", *[""] * 7, f"{self.parameters:,}", f"{self.multiply_adds:,}")
        lines = [TITLES, *(layer.cells for layer in self.layers), total]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        # Names to the left, numbers to the right.
        return "\n".join(
            "  ".join(
                cell.ljust(width) if column < 2 else cell.rjust(width)
                for column, (cell, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in lines
        )

    def __str__(self) -> str:
        return f"{self.name}: {self.parameters:,} parameters, {self.flops / 1e6:,.2f} MFLOP\n{self.table()}"


def describe(model: nn.Module | ModelConfig | str, spec: ImageSpec | None = None) -> Description:
    """Run one black image through a network (a named one without memory or arithmetic) and note every layer."""
    if isinstance(model, PixelModel):
        return _trace(model.net, model.spec, model.config.name)
    if spec is None:
        raise ValueError("describe needs a spec to know the image size: pass one (only a PixelModel carries its own)")
    if isinstance(model, nn.Module):
        return _trace(model, spec, type(model).__name__)
    with torch.device("meta"):
        return describe(build(model, spec))


def _trace(net: nn.Module, spec: ImageSpec, name: str) -> Description:
    notes = _Notes()
    leaves = [(path, module) for path, module in net.named_modules() if not any(module.children())]
    handles = [module.register_forward_hook(partial(notes.take, path)) for path, module in leaves]
    weights = next(net.parameters(), torch.zeros(()))
    try:
        with evaluating(net), torch.no_grad(), notes.tracker:
            net(torch.zeros(1, *spec.shape, dtype=weights.dtype, device=weights.device))
    finally:
        for handle in handles:
            handle.remove()
    return Description(name=name, layers=tuple(notes.layers))


class _Notes:
    """What the hooks of a forward pass write down."""

    def __init__(self) -> None:
        self.layers: list[Layer] = []
        self.tracker = FieldTracker()
        self._seen: set[nn.Module] = set()

    def take(self, name: str, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        image = inputs[0]
        window = window_of(module, (image.shape[2], image.shape[3])) if image.ndim == 4 else None
        field = self.tracker.of(image).through(window) if window else self.tracker.of(image)
        self.tracker.set(output, field)
        if isinstance(module, nn.Flatten) or not (window or module.state_dict()):
            return
        self.layers.append(
            Layer(
                name=name,
                kind=type(module).__name__,
                window=window,
                input=tuple(image.shape[1:]),
                output=tuple(output.shape[1:]),
                field=field.size,
                # A layer that runs twice has its weights once.
                parameters=0 if module in self._seen else _parameters(module),
                multiply_adds=_multiply_adds(module, output),
            )
        )
        self._seen.add(module)


def _parameters(module: nn.Module) -> int:
    """Trainable numbers; of a partially connected layer, those of its connections."""
    missing = module.unconnected if isinstance(module, MaskedConv2d) else 0
    return sum(parameter.numel() for parameter in module.parameters()) - missing


def _multiply_adds(module: nn.Module, output: Tensor) -> int:
    """As executed: a masked convolution counts as the dense one that it runs as."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        # One window of weights an output value, or one row of them.
        values = output.shape[1:].numel() if isinstance(module, nn.Conv2d) else module.out_features
        return values * module.weight[0].numel()
    return module.codes.numel() if isinstance(module, RbfOutput) else 0


def _times(pair: Pair) -> str:
    return str(pair[0]) if pair[0] == pair[1] else f"{pair[0]}x{pair[1]}"
