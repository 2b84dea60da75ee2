"""Print a picture, photograph the print: all that happens on the way, as one config that is called."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal, Protocol, get_args

import torch
from torch import Tensor

from robustcnn.channel.compression import jpeg
from robustcnn.channel.homography import perspective
from robustcnn.channel.lens import blur, resize
from robustcnn.channel.light import brightness, clip, contrast, noise, white_balance

Part = Literal["perspective", "contrast", "brightness", "white balance", "blur", "resize", "noise", "jpeg"]
PARTS: tuple[Part, ...] = get_args(Part)
"""In the order in which they happen."""


class Channel(Protocol):
    """Float pictures (N, C, H, W) in [0, 1] as they are, to what a model gets to see; differentiable."""

    def __call__(self, images: Tensor, *, generator: torch.Generator) -> Tensor: ...


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Shots:
    """One photograph each, all numbers drawn; the same shots of other pictures are taken under the same conditions.

    What is None does not happen.
    """

    corners: Tensor | None
    contrast: Tensor | None
    brightness: Tensor | None
    cast: Tensor | None
    blur: Tensor | None
    share: Tensor | None
    noise: Tensor | None
    grain: Tensor
    quality: int | None

    def __call__(self, images: Tensor) -> Tensor:
        seen = images if self.corners is None else perspective(images, self.corners)
        seen = seen if self.contrast is None else contrast(seen, self.contrast)
        seen = seen if self.brightness is None else brightness(seen, self.brightness)
        seen = seen if self.cast is None else white_balance(seen, self.cast)
        seen = seen if self.blur is None else blur(seen, self.blur)
        seen = seen if self.share is None else resize(seen, self.share)
        seen = clip(seen if self.noise is None else noise(seen, self.noise, self.grain))
        return seen if self.quality is None else jpeg(seen, self.quality)

    def __getitem__(self, rows: slice) -> Shots:
        """Some of them."""
        values: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        chosen: dict[str, Any] = {
            name: each[rows] if isinstance(each, Tensor) else each for name, each in values.items()
        }
        return Shots(**chosen)


@dataclass(frozen=True, kw_only=True, slots=True)
class Photo:
    """A print seen by a camera in the hand; each picture draws its own conditions, and strength 0 changes no bit."""

    strength: float = 1.0
    """From 0 (nothing happens) to 1; it scales all that follows."""
    tilt: float = 0.06
    """Farthest that a corner is seen from its place, either way, as a part of the side."""
    contrast: float = 0.2
    """Most contrast lost or gained, as a share."""
    brightness: float = 0.12
    """Most that all gets lighter or darker, in [0, 1] pixel units."""
    cast: float = 0.08
    """Most that one colour gets lighter or darker against the others, as a share."""
    blur: float = 0.02
    """Largest standard deviation of the blur, as a part of the side."""
    shrink: float = 0.35
    """Most of the rows and columns that is lost to a coarser sensor."""
    noise: float = 0.025
    """Largest standard deviation of the sensor's noise, in [0, 1] pixel units."""
    quality: int = 75
    """Of the JPEG that the camera keeps."""
    parts: tuple[Part, ...] = PARTS
    """What happens at all; in whichever order they are named, they happen in that of `PARTS`."""

    def __post_init__(self) -> None:
        for name in ("strength", "contrast", "brightness", "cast", "blur", "shrink", "noise"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie in [0, 1], got {getattr(self, name):g}")
        if not 0 <= self.tilt < 0.5:
            raise ValueError(f"tilt must lie in [0, 0.5), or corners would meet, got {self.tilt:g}")
        if self.shrink >= 1:
            raise ValueError(f"shrink must leave something of the picture and be below 1, got {self.shrink:g}")
        if not 1 <= self.quality <= 100:
            raise ValueError(f"quality must lie in 1..100, got {self.quality}")
        if unknown := [part for part in self.parts if part not in PARTS]:
            raise ValueError(f"unknown part {unknown[0]!r}; known: {', '.join(PARTS)}")

    def __call__(self, images: Tensor, *, generator: torch.Generator) -> Tensor:
        return self.shots(images, generator=generator)(images)

    def shots(self, images: Tensor, *, generator: torch.Generator) -> Shots:
        """The conditions of one photograph each, for pictures of this shape."""
        count, channels, height, width = images.shape

        def uniform(low: float, *shape: int) -> Tensor:
            numbers = torch.rand(count, *shape, generator=generator, device=generator.device)
            return (low + (1 - low) * numbers).to(images.device)

        # All are drawn, also those that go unused: fewer parts or less strength is the same luck.
        corners, contrast, brightness, cast = uniform(-1, 4, 2), uniform(-1), uniform(-1), uniform(-1, channels)
        blur, share, noise = uniform(0), uniform(0), uniform(0)
        grain = torch.randn(images.shape, generator=generator, device=generator.device).to(images.device)
        side = max(height, width)
        return Shots(
            corners=self._scaled("perspective", 2 * self.tilt, corners),
            contrast=self._scaled("contrast", self.contrast, contrast),
            brightness=self._scaled("brightness", self.brightness, brightness),
            cast=self._scaled("white balance", self.cast, cast),
            blur=self._scaled("blur", self.blur * side, blur),
            share=None if (lost := self._scaled("resize", self.shrink, share)) is None else 1 - lost,
            noise=self._scaled("noise", self.noise, noise),
            grain=grain,
            quality=round(100 - self.strength * (100 - self.quality))
            if self.strength and "jpeg" in self.parts
            else None,
        )

    def _scaled(self, part: Part, limit: float, numbers: Tensor) -> Tensor | None:
        return self.strength * limit * numbers if self.strength and limit and part in self.parts else None
