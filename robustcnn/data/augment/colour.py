"""What pixels show: batched operations on light and colour; float images in [0, 1] come out in [0, 1]."""

from __future__ import annotations

import torch
from torch import Tensor

from robustcnn.core.rows import drawn


def brightness(images: Tensor, factor: Tensor) -> Tensor:
    """All pixels times `factor` (N,): 0 is black, 1 changes nothing."""
    return (images * _each(factor, images)).clamp_(0, 1)


def contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Distances from the image's mean grey times `factor` (N,): 0 is even grey, 1 changes nothing."""
    return _away_from(_grey(images).mean((1, 2, 3), keepdim=True), images, factor)


def saturation(images: Tensor, factor: Tensor) -> Tensor:
    """Distances from the grey picture times `factor` (N,): 0 is grey; an image of one channel stays as it is."""
    return images if images.shape[1] == 1 else _away_from(_grey(images), images, factor)


def hue(images: Tensor, turns: Tensor) -> Tensor:
    """Colours moved `turns` (N,) round the colour circle; an image of one channel stays as it is."""
    if images.shape[1] == 1:
        return images
    red, green, blue = images.unbind(1)
    value = images.amax(1)
    chroma = value - images.amin(1)
    divisor = torch.where(chroma > 0, chroma, 1)
    # Hue in sixths of a turn, measured from the strongest channel.
    from_green = torch.where(value == green, 2 + (blue - red) / divisor, 4 + (red - green) / divisor)
    sixths = torch.where(value == red, (green - blue) / divisor, from_green) + 6 * turns.to(images.dtype).view(-1, 1, 1)
    sixths = sixths - 6 * (sixths / 6).floor()
    # Back to red, green and blue without cases: each channel falls below `value` along a trapezium of the hue, three
    # sixths from its own colour: red lies at 0, green at 2 and blue at 4.
    own = torch.arange(0, 6, 2, device=images.device, dtype=images.dtype).view(1, 3, 1, 1)
    fall = (sixths[:, None] - own).abs_().sub_(3).abs_().neg_().add_(2).clamp_(0, 1)
    return value[:, None] - chroma[:, None] * fall


def noise(images: Tensor, sigma: float, generator: torch.Generator) -> Tensor:
    """Gaussian noise of standard deviation `sigma` on every pixel, in pixel units."""
    numbers = drawn(torch.randn, tuple(images.shape), generator, images.dtype)
    return numbers.mul_(sigma).add_(images).clamp_(0, 1)


def _grey(images: Tensor) -> Tensor:
    """Luma (N, 1, H, W) with the weights of ITU-R BT.601."""
    if images.shape[1] == 1:
        return images
    red, green, blue = images.unbind(1)
    return (0.2989 * red + 0.587 * green + 0.114 * blue)[:, None]


def _away_from(origin: Tensor, images: Tensor, factor: Tensor) -> Tensor:
    return torch.lerp(origin, images, _each(factor, images)).clamp_(0, 1)


def _each(values: Tensor, images: Tensor) -> Tensor:
    """One value an image, shaped and typed to meet its pixels."""
    return values.to(images.dtype).view(-1, 1, 1, 1)
