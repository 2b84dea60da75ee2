"""What lens and sensor do to a sharp picture: blur of several kinds, and fewer pixels."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def filtered(images: Tensor, kernel: Tensor) -> Tensor:
    """Every channel convolved with the kernel (h, w), or with one a picture (N, h, w); borders are mirrored."""
    count, channels, height, width = images.shape
    down, across = kernel.shape[-2] // 2, kernel.shape[-1] // 2
    mode = "reflect" if down < height and across < width else "replicate"
    wide = F.pad(images, (across, across, down, down), mode=mode)
    if kernel.ndim == 2:
        flat = F.conv2d(wide.flatten(0, 1)[:, None], kernel[None, None].to(images))
        return flat.view(count, channels, height, width)
    each = kernel.to(images).repeat_interleave(channels, 0)[:, None]
    return F.conv2d(wide.flatten(0, 1)[None], each, groups=count * channels).view(count, channels, height, width)


def disk(radius: float) -> Tensor:
    """The blur of a lens that is out of focus: a disk of that radius in pixels with a soft rim."""
    reach = math.ceil(radius)
    places = torch.arange(-reach, reach + 1, dtype=torch.float32)
    weight = (radius + 0.5 - torch.hypot(places[:, None], places)).clamp(0, 1)
    return weight / weight.sum()


def streak(length: float, angles: Tensor) -> Tensor:
    """The blur of a motion of `length` pixels: a kernel (N, k, k) for each of the angles (N,) in radians."""
    reach = math.ceil(length / 2)
    places = torch.arange(-reach, reach + 1, dtype=torch.float32, device=angles.device)
    steps = torch.linspace(-length / 2, length / 2, 4 * reach + 1, device=angles.device)
    down, across = (steps * angle[:, None] for angle in (angles.sin(), angles.cos()))
    # Each point of the line is shared out among the pixels round it.
    rows, columns = (1 - (places[:, None] - line[:, None]).abs() for line in (down, across))
    kernel = torch.einsum("nrs,ncs->nrc", rows.clamp_min(0), columns.clamp_min(0))
    return kernel / kernel.sum((1, 2), keepdim=True)


def gaussian(deviations: Tensor) -> Tensor:
    """Soft blurs: a kernel (N, k, k) for each of the standard deviations (N,) in pixels; 0 leaves all as it is."""
    # Each is cut where its own tail ends: what else is in the batch must not matter.
    tails = (3 * deviations).ceil().clamp_min(1)[:, None]
    reach = int(tails.max())
    places = torch.arange(-reach, reach + 1, device=deviations.device)
    heights = -(places / deviations.clamp_min(0.01)[:, None]).square() / 2
    line = heights.masked_fill(places.abs() > tails, -torch.inf).softmax(1)
    return line[:, :, None] * line[:, None]


def blur(images: Tensor, deviations: Tensor) -> Tensor:
    """Every picture with a Gaussian blur of its own, (N,) in pixels."""
    return filtered(images, gaussian(deviations))


def resize(images: Tensor, shares: Tensor) -> Tensor:
    """Every picture resampled to its own share (N,) of rows and columns, smoothed as it shrinks, and back again."""
    down, across = (_resampling(side, shares).to(images) for side in images.shape[2:])
    return torch.einsum("nij,ncjk,nlk->ncil", down, images, across)


def _resampling(side: int, shares: Tensor) -> Tensor:
    """For each share the matrix (side, side) that takes a line of pixels there and back."""
    sizes, which = (shares * side).round().clamp_min(1).long().unique(return_inverse=True)
    # What becomes of the unit matrix, as a picture resampled downwards alone, is the matrix that does it.
    unit = torch.eye(side, device=shares.device)[None, None]
    matrices = []
    for size in sizes.tolist():
        there = F.interpolate(unit, (size, side), mode="bilinear", antialias=True)
        matrices.append(F.interpolate(there, (side, side), mode="bilinear", antialias=True)[0, 0])
    return torch.stack(matrices)[which]
