"""JPEG as a batched, differentiable function: rounding and cutting off pass gradients straight through."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from robustcnn.channel.light import clip

_LUMINANCE = """
16 11 10 16 24 40 51 61  12 12 14 19 26 58 60 55  14 13 16 24 40 57 69 56  14 17 22 29 51 87 80 62
18 22 37 56 68 109 103 77  24 35 55 64 81 104 113 92  49 64 78 87 103 121 120 101  72 92 95 98 112 100 103 99
"""
_CHROMINANCE = """
17 18 24 47 99 99 99 99  18 21 26 66 99 99 99 99  24 26 56 99 99 99 99 99  47 66 99 99 99 99 99 99
99 99 99 99 99 99 99 99  99 99 99 99 99 99 99 99  99 99 99 99 99 99 99 99  99 99 99 99 99 99 99 99
"""
"""Quantisation tables of the JPEG standard (ITU-T T.81, annex K)."""
_TO_LUMA = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))


def jpeg(images: Tensor, quality: int) -> Tensor:
    """What is left after saving as JPEG, colours at half resolution as is usual, and opening again."""
    if not 1 <= quality <= 100:
        raise ValueError(f"quality must lie in 1..100, got {quality}")
    height, width = images.shape[2:]
    levels = 255 * images
    if images.shape[1] == 1:
        return _as_levels(_coded(levels - 128, _table(_LUMINANCE, quality, images)) + 128)
    luma, chroma = _mix(levels, _TO_LUMA).split([1, 2], 1)
    luma = _coded(luma - 128, _table(_LUMINANCE, quality, images)) + 128
    halves = F.avg_pool2d(_padded(chroma, 2), 2)
    halves = _coded(halves, _table(_CHROMINANCE, quality, images))
    chroma = F.interpolate(halves, scale_factor=2, mode="bilinear")[..., :height, :width]
    inverse = torch.linalg.inv(torch.tensor(_TO_LUMA, dtype=torch.float64)).tolist()
    return _as_levels(_mix(torch.cat([luma, chroma], 1), inverse))


def _round(values: Tensor) -> Tensor:
    return values + (values.round() - values).detach()


def _as_levels(levels: Tensor) -> Tensor:
    return clip(_round(levels) / 255)


def _coded(plane: Tensor, table: Tensor) -> Tensor:
    """Blocks of 8 x 8 as cosine coefficients, rounded by the table, and back."""
    height, width = plane.shape[2:]
    padded = _padded(plane, 8)
    cosines = _cosines(plane)
    blocks = padded.unflatten(3, (-1, 8)).unflatten(2, (-1, 8)).transpose(3, 4)
    coefficients = cosines @ blocks @ cosines.T
    blocks = cosines.T @ (_round(coefficients / table) * table) @ cosines
    return blocks.transpose(3, 4).flatten(4, 5).flatten(2, 3)[..., :height, :width]


def _padded(plane: Tensor, multiple: int) -> Tensor:
    height, width = plane.shape[2:]
    return F.pad(plane, (0, -width % multiple, 0, -height % multiple), mode="replicate")


def _cosines(like: Tensor) -> Tensor:
    """The orthonormal 8 x 8 matrix of the discrete cosine transform."""
    numbers = torch.arange(8, dtype=torch.float64)
    waves = torch.cos(math.pi * numbers[:, None] * (2 * numbers + 1) / 16) / 2
    waves[0] /= math.sqrt(2)
    return waves.to(like)


def _table(text: str, quality: int, like: Tensor) -> Tensor:
    base = torch.tensor([float(word) for word in text.split()]).view(8, 8)
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    return ((base * scale + 50) / 100).floor().clamp(1, 255).to(like)


def _mix(planes: Tensor, weights: tuple[tuple[float, ...], ...] | list[list[float]]) -> Tensor:
    return torch.einsum("oc,nchw->nohw", torch.tensor(weights).to(planes), planes)
