"""Where pixels sit: batched operations that move, resample or cover them, one parameter an image."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Padding = Literal["zero", "reflect"]
_SAMPLE_PADDING = {"zero": "zeros", "reflect": "reflection"}


def mirror(images: Tensor, flips: Tensor) -> Tensor:
    """Left and right exchanged where `flips` (N,) is true."""
    count = len(images)
    both = torch.cat([images, images.flip(-1)])
    # Copying whole images by index is several times faster than torch.where over bytes, and needs no synchronisation.
    return both.index_select(0, torch.arange(count, device=images.device) + count * flips)


def shift(images: Tensor, dy: Tensor, dx: Tensor, *, reach: int, padding: Padding = "zero") -> Tensor:
    """Each image moved `dy` pixels down and `dx` to the right; moves longer than `reach` are cut to it."""
    count, channels, height, width = images.shape
    if not 0 <= reach < min(height, width):
        raise ValueError(f"shift must lie in 0..{min(height, width) - 1} for {height}x{width} images, got {reach}")
    padded = _pad(images, reach, padding).contiguous()
    rows, columns = height + 2 * reach, width + 2 * reach
    size = channels * rows * columns
    # Every crop of every padded image is a window of one overlapping view, numbered by its first pixel: moving a
    # batch is then a single gather that copies whole rows.
    last = count * size - (channels - 1) * rows * columns - (height - 1) * columns - width
    windows = padded.as_strided((last + 1, channels, height, width), (1, rows * columns, columns, 1))
    top, left = (reach - move.clamp(-reach, reach) for move in (dy, dx))
    return windows.index_select(0, torch.arange(count, device=images.device) * size + top * columns + left)


def _pad(images: Tensor, margin: int, padding: Padding) -> Tensor:
    if padding == "zero":
        return F.pad(images, (margin,) * 4)
    # By hand, because torch's own reflection refuses uint8 on GPUs and in older versions.
    for dim in (-1, -2):
        end = images.shape[dim] - 1
        before = images.narrow(dim, 1, margin).flip(dim)
        after = images.narrow(dim, end - margin, margin).flip(dim)
        images = torch.cat([before, images, after], dim)
    return images


def affine(images: Tensor, degrees: Tensor, scale: Tensor, *, padding: Padding = "zero") -> Tensor:
    """Float images turned counter-clockwise and enlarged by `scale` about their centre in one bilinear resampling."""
    height, width = images.shape[-2:]
    angle = degrees.deg2rad()
    cosine, sine = angle.cos() / scale, angle.sin() / scale
    zero = torch.zeros_like(cosine)
    # From output to input, in coordinates where each side runs from -1 to 1: off the diagonal the ratio of the sides.
    across = torch.stack([cosine, -sine * (height / width), zero], dim=1)
    down = torch.stack([sine * (width / height), cosine, zero], dim=1)
    theta = torch.stack([across, down], dim=1).to(images.dtype)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode=_SAMPLE_PADDING[padding], align_corners=False)


def cutout(images: Tensor, cy: Tensor, cx: Tensor, *, size: int) -> Tensor:
    """A black square with `size` pixels a side around (cy, cx), less what falls outside (DeVries and Taylor 2017)."""
    height, width = images.shape[-2:]
    if not 0 <= size <= min(height, width):
        raise ValueError(f"cutout must lie in 0..{min(height, width)} for {height}x{width} images, got {size}")
    rows = _covered(cy - size // 2, size, height)
    columns = _covered(cx - size // 2, size, width)
    return images.masked_fill((rows[:, :, None] & columns[:, None, :])[:, None], 0)


def _covered(start: Tensor, size: int, length: int) -> Tensor:
    position = torch.arange(length, device=start.device)
    return (position >= start[:, None]) & (position < start[:, None] + size)
