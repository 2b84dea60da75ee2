"""Batch norm that sees the whole batch of all processes, with gradients of any order, on CPU and GPU."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from robustcnn.core.ranks import Ranks


def batch_norms(model: nn.Module) -> list[_BatchNorm]:
    """Those that do what torch's do."""
    return [
        module
        for module in model.modules()
        if isinstance(module, _BatchNorm) and type(module).forward is _BatchNorm.forward
    ]


def normalised(module: _BatchNorm, images: Tensor, ranks: Ranks, weight: float) -> Tensor:
    """By mean and variance over the rows of all processes, which the module's running averages follow.

    `weight` is 0 where this process's row stands in for none. torch's SyncBatchNorm refuses the CPU and has no second
    derivative.
    """
    values = images.to(torch.promote_types(images.dtype, torch.float32))
    mean, variance, total = moments(values, ranks, weight)
    _follow(module, mean.detach(), variance.detach(), total)
    scale = (variance + module.eps).rsqrt()
    if module.weight is not None:
        scale = scale * module.weight
    shift = -mean * scale
    if module.bias is not None:
        shift = shift + module.bias
    scale, shift = (each.view(-1, *[1] * (values.ndim - 2)) for each in (scale, shift))
    return torch.addcmul(shift, values, scale).to(images.dtype)


def moments(values: Tensor, ranks: Ranks, weight: float = 1.0) -> tuple[Tensor, Tensor, Tensor]:
    """(mean, variance, count) of each channel over the rows of all processes."""
    over = [0, *range(2, values.ndim)]
    mean = values.mean(over, keepdim=True)
    # In two passes: torch.var_mean takes ten times as long on a CPU.
    variance, mean = (values - mean).square().mean(over), mean.flatten()
    count = values.new_full((1,), weight * values.numel() / values.shape[1])
    counts, means, variances = ranks.gather(torch.cat([count, mean, variance])).split([1, len(mean), len(mean)], 1)
    counts = counts.detach()
    total = counts.sum()
    share = counts / total
    mean = (share * means).sum(0)
    # Chan et al. 1979: sums of squares would cancel.
    return mean, (share * (variances + (means - mean).square())).sum(0), total


@torch.no_grad()
def _follow(module: _BatchNorm, mean: Tensor, variance: Tensor, total: Tensor) -> None:
    if module.running_mean is None or module.running_var is None or module.num_batches_tracked is None:
        return
    module.num_batches_tracked.add_(1)
    share = 1 / float(module.num_batches_tracked) if module.momentum is None else module.momentum
    module.running_mean.lerp_(mean, share)
    module.running_var.lerp_(variance * (total / (total - 1)), share)
