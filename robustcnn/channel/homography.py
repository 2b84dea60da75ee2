"""A flat picture seen from aside: batched homographies."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

CORNERS = ((-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0))
"""Of a picture, where each side runs from -1 to 1: clockwise from the top left, y down."""


def perspective(images: Tensor, shifts: Tensor) -> Tensor:
    """Pictures whose corner i shows what lies at corner i plus its shift (N, 4, 2), in units of half a side.

    Lines stay straight; what comes in from outside is the nearest pixel of the edge.
    """
    height, width = images.shape[2:]
    matrices = homography(shifts.new_tensor(CORNERS) + shifts)
    x, y = (torch.arange(side, device=shifts.device) * 2 + 1 for side in (width, height))
    points = torch.stack(torch.broadcast_tensors(x / width - 1, (y / height - 1)[:, None], shifts.new_ones(1)), dim=-1)
    seen = torch.einsum("nij,hwj->nhwi", matrices, points)
    grid = (seen[..., :2] / seen[..., 2:]).to(images)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)


def homography(quads: Tensor) -> Tensor:
    """The matrices (N, 3, 3) that take the corners of the square -1..1 to those of quadrangles (N, 4, 2)."""
    first, second, third, fourth = quads.unbind(1)
    # Heckbert 1989: the unit square's map in closed form, after which the square -1..1 is brought to the unit square.
    along, down, rest = second - third, fourth - third, first - second + third - fourth
    area = _cross(along, down)
    across, below = _cross(rest, down) / area, _cross(along, rest) / area
    columns = (second - first + across[:, None] * second, fourth - first + below[:, None] * fourth, first)
    bottom = torch.stack([across, below, torch.ones_like(across)], dim=1)
    unit = torch.cat([torch.stack(columns, dim=2), bottom[:, None]], dim=1)
    return unit @ unit.new_tensor([[0.5, 0.0, 0.5], [0.0, 0.5, 0.5], [0.0, 0.0, 1.0]])


def _cross(first: Tensor, second: Tensor) -> Tensor:
    return first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]
