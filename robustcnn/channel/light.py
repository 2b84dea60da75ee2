"""What light and sensor do to colours; amounts are one a picture (N,), and 0 leaves every bit as it is."""

from __future__ import annotations

from torch import Tensor


def brightness(images: Tensor, amounts: Tensor) -> Tensor:
    """Everything lighter by the amount, in [0, 1] pixel units."""
    return images + _spread(amounts, images)


def contrast(images: Tensor, amounts: Tensor) -> Tensor:
    """Distances from the picture's mean larger by this share; -1 is plain grey."""
    return images + _spread(amounts, images) * (images - images.mean((1, 2, 3), keepdim=True))


def white_balance(images: Tensor, amounts: Tensor) -> Tensor:
    """Each channel (N, C) lighter by its share."""
    return images * (1 + amounts.to(images)[:, :, None, None])


def noise(images: Tensor, amounts: Tensor, grain: Tensor) -> Tensor:
    """The sensor's: `grain`, shaped like the images and of deviation 1, times the amount."""
    return images + _spread(amounts, images) * grain.to(images)


def clip(images: Tensor) -> Tensor:
    """Cut to [0, 1] in the values but not in the gradients, which would otherwise vanish there."""
    return images + (images.clamp(0, 1) - images).detach()


def _spread(amounts: Tensor, images: Tensor) -> Tensor:
    return amounts.to(images).view(-1, 1, 1, 1)
