"""Random variations of a batch, drawn and applied on its device."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import get_args

import torch
from torch import Tensor

from robustcnn.core.plain_data import shown
from robustcnn.core.rows import drawn
from robustcnn.data.augment.colour import brightness, contrast, hue, noise, saturation
from robustcnn.data.augment.warps import Padding, affine, cutout, mirror, shift
from robustcnn.data.resident import as_pixels

_LIMITS = {
    "shift": (math.inf, "pixels, drawn in every direction"),
    "rotate": (180, "degrees, drawn in both directions"),
    "rescale": (0.9, "a share: 0.1 draws from 90 % to 110 %"),
    "brightness": (1, "a share: 0.2 draws from 80 % to 120 %"),
    "contrast": (1, "a share: 0.2 draws from 80 % to 120 %"),
    "saturation": (1, "a share: 0.2 draws from 80 % to 120 %"),
    "hue": (0.5, "turns of the colour circle, drawn in both directions"),
    "noise": (1, "pixel units: 0.05 is about 13 grey levels of 255"),
    "cutout": (math.inf, "pixels a side"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Augment:
    """Each image gets its own draw of every variation that is switched on; off is 0 or false, and all are off."""

    mirror: bool = False
    """Exchange left and right of every second image."""
    shift: int = 0
    """Move by up to so many pixels, up, down and sideways."""
    padding: Padding = "zero"
    """What comes in at the sides after a shift, rotation or reduction: black, or the image mirrored."""
    rotate: float = 0.0
    """Turn by up to so many degrees, either way."""
    rescale: float = 0.0
    """Shrink or enlarge by up to this share of the size."""
    brightness: float = 0.0
    """Darken or lighten by up to this share."""
    contrast: float = 0.0
    """Weaken or strengthen contrast by up to this share."""
    saturation: float = 0.0
    """Weaken or strengthen colours by up to this share; grey images stay as they are."""
    hue: float = 0.0
    """Move colours by up to so many turns of the colour circle; grey images stay as they are."""
    noise: float = 0.0
    """Standard deviation of Gaussian noise, in pixel units."""
    cutout: int = 0
    """Side in pixels of a black square at a random place."""

    def __post_init__(self) -> None:
        if self.padding not in get_args(Padding):
            raise ValueError(f"padding must be one of {', '.join(get_args(Padding))}, got {shown(self.padding)}")
        for name, (limit, meaning) in _LIMITS.items():
            value = getattr(self, name)
            if not 0 <= value <= limit:
                rule = "must not be negative" if limit == math.inf else f"must lie in [0, {limit:g}]"
                raise ValueError(f"{name} {rule}, got {value:g} ({meaning})")

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Float pixels in [0, 1] from uint8 or float ones; the generator lives on the images' device."""
        # What only moves whole pixels comes before the conversion, while a pixel is still one byte.
        moved = self._moved(images, generator)
        return self._covered(self._coloured(self._resampled(as_pixels(moved), generator), generator), generator)

    def _moved(self, images: Tensor, generator: torch.Generator) -> Tensor:
        if self.mirror:
            images = mirror(images, _uniform(images, generator, 0, 1) < 0)
        if self.shift:
            dy, dx = (_integers(images, generator, -self.shift, self.shift) for _ in range(2))
            images = shift(images, dy, dx, reach=self.shift, padding=self.padding)
        return images

    def _resampled(self, images: Tensor, generator: torch.Generator) -> Tensor:
        if not self.rotate and not self.rescale:
            return images
        degrees = _uniform(images, generator, 0, self.rotate)
        return affine(images, degrees, _uniform(images, generator, 1, self.rescale), padding=self.padding)

    def _coloured(self, images: Tensor, generator: torch.Generator) -> Tensor:
        if self.brightness:
            images = brightness(images, _uniform(images, generator, 1, self.brightness))
        if self.contrast:
            images = contrast(images, _uniform(images, generator, 1, self.contrast))
        if self.saturation:
            images = saturation(images, _uniform(images, generator, 1, self.saturation))
        if self.hue:
            images = hue(images, _uniform(images, generator, 0, self.hue))
        return noise(images, self.noise, generator) if self.noise else images

    def _covered(self, images: Tensor, generator: torch.Generator) -> Tensor:
        if not self.cutout:
            return images
        cy, cx = (_integers(images, generator, 0, side - 1) for side in images.shape[-2:])
        return cutout(images, cy, cx, size=self.cutout)


def mixup(images: Tensor, targets: Tensor, alpha: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Float images and their targets (N, K), each blended with a random partner's (Zhang et al. 2018)."""
    if not targets.is_floating_point() or targets.ndim != 2:
        raise ValueError(
            f"mixup blends class probabilities of shape (N, K), got {targets.dtype} {tuple(targets.shape)} "
            "(pass F.one_hot(labels, classes).float())"
        )
    share, partner = draw_mixup(images, alpha, generator)
    return blend(images, share, partner), blend(targets, share, partner)


def draw_mixup(images: Tensor, alpha: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """For each image the share it keeps, from Beta(alpha, alpha), and the index of its partner."""
    if not 0 < alpha < math.inf:
        raise ValueError(f"mixup's alpha must be positive and finite, got {alpha:g} (leave mixup out to switch it off)")
    radius, angle = (torch.rand(len(images), generator=generator, device=images.device) for _ in range(2))
    # Bailey's (1994) polar draw of Student's t, which a symmetric beta is a function of: exact, and without the
    # rejection loop that would make a GPU wait.
    student = (radius.pow(-1 / alpha) - 1).sqrt() * (2 * math.pi * angle).cos()
    partner = torch.randperm(len(images), generator=generator, device=images.device)
    return (1 + student.atan().sin()) / 2, partner


def blend(values: Tensor, share: Tensor, partner: Tensor) -> Tensor:
    """`share` (N,) of each row of `values` and the rest of its partner's."""
    weight = share.to(values.dtype).view(-1, *[1] * (values.ndim - 1))
    return torch.lerp(values.index_select(0, partner), values, weight)


def _uniform(images: Tensor, generator: torch.Generator, centre: float, spread: float) -> Tensor:
    """One number an image, within `spread` of `centre`."""
    numbers = drawn(torch.rand, (len(images),), generator)
    return centre + spread * (2 * numbers - 1)


def _integers(images: Tensor, generator: torch.Generator, low: int, high: int) -> Tensor:
    """One whole number an image, both ends included."""
    return drawn(partial(torch.randint, low, high + 1), (len(images),), generator)
