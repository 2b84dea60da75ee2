"""Which traced operations a bound is known of, and what they become."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.fx import Node

from robustcnn.certify.activations import Convex, Largest, Rectifier, Tanh, pooling_windows
from robustcnn.certify.layer import Layer, NoLowerBound, constant_of, pair
from robustcnn.certify.operations import Convolution, Dense, Moving, Operation, Scaling, Sum

Built = list[Operation] | None
Builder = Callable[[Layer, int], Built]
BUILDERS: dict[str, Builder] = {}


def _builds(*names: str) -> Callable[[Builder], Builder]:
    def register(builder: Builder) -> Builder:
        BUILDERS.update({f"aten.{name}": builder for name in names})
        return builder

    return register


@_builds("conv2d.default", "convolution.default", "conv2d.padding")
def _convolution(layer: Layer, _: int) -> Built:
    arguments = layer.arguments
    if arguments.get("transposed"):
        raise layer.refuse("(transposed)")
    weight, kernel = layer["weight"], layer["weight"].shape[2:]
    dilation, padding = pair(layer["dilation"]), layer["padding"]
    if isinstance(padding, str):
        reach = [spread * (width - 1) for spread, width in zip(dilation, kernel, strict=True)]
        if padding == "same" and any(each % 2 for each in reach):
            raise layer.refuse("with padding 'same' and an even kernel")
        padding = [each // 2 for each in reach] if padding == "same" else [0, 0]
    return [
        Convolution(
            (layer.source("input"),),
            weight,
            layer["bias"],
            pair(layer["stride"]),
            pair(padding),
            dilation,
            layer["groups"],
        )
    ]


@_builds("linear.default")
def _dense(layer: Layer, _: int) -> Built:
    return [Dense((layer.source("input"),), layer["weight"], layer["bias"])]


@_builds("addmm.default")
def _dense_by_matrices(layer: Layer, _: int) -> Built:
    if not layer.is_image("mat1") or layer.is_image("mat2"):
        raise layer.refuse("of two images")
    weight, bias = layer["mat2"].T * layer["alpha"], layer["self"] * layer["beta"]
    return [Dense((layer.source("mat1"),), weight, bias)]


@_builds("mm.default", "matmul.default", "mv.default")
def _product(layer: Layer, place: int) -> Built:
    second = next(name for name in ("mat2", "other", "vec") if name in layer.arguments)
    if layer.is_image(second) or not layer.is_image("self") or layer[second].ndim > 2:
        raise layer.refuse("of two images")
    factor = layer[second]
    if factor.ndim == 2:
        return [Dense((layer.source("self"),), factor.T, None)]
    return [Dense((layer.source("self"),), factor[None], None), Moving((place,), lambda values: values.squeeze(-1), 0)]


@_builds("batch_norm.default", "_native_batch_norm_legit_no_training.default", "native_batch_norm.default")
def _batch_norm(layer: Layer, _: int) -> Built:
    if layer.arguments.get("training") or layer["running_mean"] is None:
        raise layer.refuse("that normalises by the batch at hand")
    factor = (layer["running_var"] + layer["eps"]).rsqrt()
    weight, bias = layer["weight"], layer["bias"]
    factor = factor if weight is None else factor * weight
    offset = -layer["running_mean"] * factor
    offset = offset if bias is None else offset + bias
    shape = (-1,) + (1,) * (len(layer.shape) - 2)
    return [Scaling((layer.source("input"),), factor.view(shape), offset.view(shape))]


@_builds("add.Tensor", "sub.Tensor", "rsub.Scalar")
def _sum(layer: Layer, _: int) -> Built:
    name = str(layer.node.target)
    alpha = float(layer["alpha"])
    ours, theirs = (-alpha, 1.0) if "rsub" in name else (1.0, -alpha if "sub" in name else alpha)
    if layer.is_image("self") and layer.is_image("other"):
        _alike(layer)
        return [Sum((layer.source("self"), layer.source("other")), (ours, theirs))]
    image, constant, factor, times = (
        ("self", layer["other"], ours, theirs) if layer.is_image("self") else ("other", layer["self"], theirs, ours)
    )
    offset = constant_of(layer, constant) * times
    return [Scaling((layer.source(image),), offset.new_tensor(factor), offset)]


@_builds("mul.Tensor", "div.Tensor")
def _scaling(layer: Layer, _: int) -> Built:
    if layer.is_image("other"):
        if layer.is_image("self") or "div" in str(layer.node.target):
            raise layer.refuse("of two values that depend on the image")
        return [Scaling((layer.source("other"),), constant_of(layer, layer["self"]), None)]
    factor = constant_of(layer, layer["other"])
    return [Scaling((layer.source("self"),), 1 / factor if "div" in str(layer.node.target) else factor, None)]


@_builds("neg.default")
def _negative(layer: Layer, _: int) -> Built:
    return [Scaling((layer.source(),), constant_of(layer, -1.0), None)]


@_builds("relu.default")
def _relu(layer: Layer, _: int) -> Built:
    return [Rectifier((layer.source(),), torch.relu, _step(0.0))]


@_builds("leaky_relu.default")
def _leaky_relu(layer: Layer, _: int) -> Built:
    leak = float(layer["negative_slope"])
    if not 0 <= leak <= 1:
        raise layer.refuse(f"with a slope of {leak:g}")
    return [Rectifier((layer.source(),), lambda values: F.leaky_relu(values, leak), _step(leak), leak)]


@_builds("elu.default")
def _elu(layer: Layer, _: int) -> Built:
    if (layer["alpha"], layer["scale"], layer["input_scale"]) != (1, 1, 1):
        raise layer.refuse("with an alpha other than 1")
    return [Convex((layer.source(),), F.elu, lambda values: values.clamp_max(0).exp())]


@_builds("softplus.default")
def _softplus(layer: Layer, _: int) -> Built:
    if (layer["beta"], layer["threshold"]) != (1, 20):
        raise layer.refuse("with a beta other than 1")
    # Past the threshold torch drops what is less than float32 can tell.
    return [Convex((layer.source(),), lambda values: F.softplus(values, threshold=60), torch.sigmoid)]


@_builds("tanh.default")
def _tanh(layer: Layer, _: int) -> Built:
    return [Tanh((layer.source(),))]


@_builds("sigmoid.default")
def _sigmoid(layer: Layer, place: int) -> Built:
    half = constant_of(layer, 0.5)
    # sigmoid(x) = tanh(x / 2) / 2 + 1/2.
    return [Scaling((layer.source(),), half, None), Tanh((place,)), Scaling((place + 1,), half, half)]


@_builds("max_pool2d.default", "max_pool2d_with_indices.default")
def _max_pool(layer: Layer, _: int) -> Built:
    kernel = pair(layer["kernel_size"])
    stride = pair(layer["stride"]) if layer["stride"] else kernel
    windows = pooling_windows(kernel, stride, pair(layer["padding"]), pair(layer["dilation"]), layer["ceil_mode"])
    return [Largest((layer.source(),), windows)]


@_builds("amax.default")
def _largest(layer: Layer, _: int) -> Built:
    dims, kept, rank = layer["dim"], layer["keepdim"], len(layer.shape)
    if kept or len(dims) != 1 or dims[0] % rank == 0:
        raise layer.refuse("over other than one dimension")
    # The batch leads, so that the dimension is counted from behind.
    return [Largest((layer.source(),), lambda values, _: values.movedim(dims[0] % rank - rank, -1))]


@_builds("avg_pool2d.default", "adaptive_avg_pool2d.default", "mean.dim", "sum.dim_IntList", "constant_pad_nd.default")
@_builds("view.default", "reshape.default", "flatten.using_ints", "squeeze.dims", "squeeze.dim", "unsqueeze.default")
@_builds("permute.default", "transpose.int", "slice.Tensor", "select.int", "_unsafe_view.default", "pad.default")
@_builds("pixel_unshuffle.default", "pixel_shuffle.default", "channel_shuffle.default")
def _moving(layer: Layer, _: int) -> Built:
    if layer.arguments.get("value"):
        raise layer.refuse("with a border other than 0")
    if layer.arguments.get("mode", "constant") not in ("constant", "reflect", "replicate", "circular"):
        raise layer.refuse(f"in mode {layer['mode']}")
    return [Moving((layer.source(),), _again(layer), _fan_in(layer))]


@_builds("cat.default", "stack.default")
def _joined(layer: Layer, _: int) -> Built:
    parts: list[Node] = list(layer.arguments["tensors"])  # type: ignore[arg-type]
    known = [each for each in parts if each.name not in layer.places]
    if any(layer.found[each.name].any() for each in known):
        raise layer.refuse("with constants other than 0")
    inputs = tuple(layer.places[each.name] for each in parts if each.name in layer.places)
    return [Moving(inputs, _again(layer), 1)]


@_builds("zeros_like.default")
def _zeros(layer: Layer, _: int) -> Built:
    return [Scaling((layer.source(),), constant_of(layer, 0.0), None)]


@_builds(
    "clone.default",
    "alias.default",
    "detach.default",
    "contiguous.default",
    "dropout.default",
    "lift_fresh_copy.default",
)
@_builds("native_dropout.default", "feature_dropout.default", "alpha_dropout.default")
def _nothing(layer: Layer, _: int) -> Built:
    if layer.arguments.get("train"):
        raise NoLowerBound(f"the model draws random numbers ({layer.node.target})")
    layer.place = layer.source()
    return None


@_builds("_to_copy.default", "to.dtype", "_assert_tensor_metadata.default")
def _converted(layer: Layer, _: int) -> Built:
    before, after = layer.shape, layer.node.meta["val"]
    if not after.is_floating_point() or before is None:
        raise layer.refuse("that makes whole numbers")
    layer.place = layer.source()
    return None


def _again(layer: Layer) -> Callable[..., Tensor]:
    """The traced operation as a function of what depends on the images, for batches of any size."""
    node, places, found = layer.node, layer.places, layer.found
    # Maps may be laid out channels-last.
    target = torch.ops.aten.reshape.default if "view" in str(node.target) else node.target

    def function(*values: Tensor) -> Tensor:
        left = iter(values)

        def known(each: Node) -> Any:
            if each.name in places:
                return next(left)
            return found[each.name] if each.name in found else len(values[0])

        arguments, options = torch.fx.node.map_arg((node.args, node.kwargs), known)
        moved: Tensor = target(*arguments, **options)  # type: ignore[operator]
        return moved

    return function


def _fan_in(layer: Layer) -> int:
    """The most values that go into one."""
    if not any(word in str(layer.node.target) for word in ("pool", "mean", "sum")):
        return 0
    if layer.arguments.get("kernel_size"):
        return math.prod(pair(layer["kernel_size"])) + 2
    before, after = (math.prod(int(size) for size in each[1:]) for each in (layer.shape, layer.node.meta["val"].shape))
    # Adaptive windows overlap by a pixel at each end.
    return -(-before // max(after, 1)) * 4 + 2


def _alike(layer: Layer) -> None:
    ours, theirs = (layer.argument_node(name).meta["val"].shape for name in ("self", "other"))
    if ours != theirs:
        raise layer.refuse(f"of shapes {tuple(ours)[1:]} and {tuple(theirs)[1:]}")


def _step(leak: float) -> Callable[[Tensor], Tensor]:
    return lambda values: leak + (1 - leak) * (values > 0).to(values.dtype)
