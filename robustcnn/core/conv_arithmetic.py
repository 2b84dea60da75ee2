"""How windows slide over images: sizes and paddings by formula."""

from __future__ import annotations

from typing import Literal, NamedTuple

from torch import Tensor, nn

Pair = tuple[int, int]
"""(height, width)."""
Span = tuple[int, int]
"""Rows or columns: the first, and the one behind the last."""
Place = tuple[Span, Span]
"""Rows and columns of a window."""
PaddingName = Literal["valid", "same", "full"]


def crop(maps: Tensor, place: Place) -> Tensor:
    """The part of maps (N, C, H, W) that lies there, as a view."""
    (top, bottom), (left, right) = place
    return maps[:, :, top:bottom, left:right]


def output_size(size: int, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> int:
    """floor((size + 2 padding - dilation (kernel - 1) - 1) / stride) + 1."""
    outside = size + 2 * padding - dilation * (kernel - 1) - 1
    if outside < 0:
        raise ValueError(
            f"a kernel of {kernel} with dilation {dilation} and padding {padding} does not fit into {size} pixels"
        )
    return outside // stride + 1


def padding_for(name: PaddingName, kernel: int, dilation: int = 1) -> int:
    """Pixels on each side: none, as many as keep the size at stride 1, or as many as let every overlap count."""
    reach = dilation * (kernel - 1)
    if name == "same":
        if reach % 2:
            raise ValueError(f"same padding needs an even dilation * (kernel - 1), got {reach} (take an odd kernel)")
        return reach // 2
    if name not in ("valid", "full"):
        raise ValueError(f"unknown padding {name!r}; known: valid, same, full")
    return reach if name == "full" else 0


class Window(NamedTuple):
    """What a layer looks at, each as (height, width)."""

    kernel: Pair
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)

    def output(self, size: Pair) -> Pair:
        height, width = (output_size(*along) for along in zip(size, *self, strict=True))
        return (height, width)


def _pair(value: int | tuple[int, ...]) -> Pair:
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def window_of(module: nn.Module, size: Pair) -> Window | None:
    """The window of a convolution or pooling layer that sees a map of `size`; None for anything else."""
    if isinstance(module, nn.Conv2d):
        kernel, dilation = _pair(module.kernel_size), _pair(module.dilation)
        padding: str | Pair = module.padding if isinstance(module.padding, str) else _pair(module.padding)
        if isinstance(padding, str):
            rule: PaddingName = "same" if padding == "same" else "valid"
            padding = (padding_for(rule, kernel[0], dilation[0]), padding_for(rule, kernel[1], dilation[1]))
        return Window(kernel, _pair(module.stride), padding, dilation)
    if isinstance(module, nn.MaxPool2d):
        return Window(*(_pair(value) for value in (module.kernel_size, module.stride, module.padding, module.dilation)))
    if isinstance(module, nn.AvgPool2d):
        return Window(*(_pair(value) for value in (module.kernel_size, module.stride, module.padding)))
    # Global pooling and flattening see the whole map at once.
    if isinstance(module, nn.Flatten) or (
        isinstance(module, nn.AdaptiveAvgPool2d) and module.output_size in (1, (1, 1))
    ):
        return Window(size)
    return None
