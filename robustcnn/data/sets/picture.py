"""One picture from any image file: upright as the camera meant it, on white where transparent, in RGB."""

from __future__ import annotations

import io
import stat
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

Framing = Literal["crop", "squash"]
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF")
"""The kinds that are opened: others, such as EPS, have Pillow start other programs."""
MOST_BYTES = 256 * 2**20
MOST_PIXELS = 100_000_000
"""Beyond these a file is more likely a trap than a picture; a JPEG may have more, its decoder shrinks it."""


def read_picture(path: Path, *, around: int) -> Image.Image:
    """The file's (first) picture; large JPEGs come shrunk, as far as twice `around` pixels a side allows."""
    if path.is_dir():
        raise ValueError(f"{path}: not a picture but a folder; name the files in it")
    try:
        if not stat.S_ISREG((state := path.stat()).st_mode):
            raise ValueError("it is no file but a pipe or a device")
        if (size := state.st_size) > MOST_BYTES:
            raise ValueError(f"its {size >> 20} MiB are more than the {MOST_BYTES >> 20} MiB that are read")
        with Image.open(path, formats=FORMATS) as opened:
            # A JPEG decoder shrinks by 2, 4 or 8 almost for free; twice the final size is kept for the resizing.
            opened.draft("RGB", (2 * around, 2 * around))
            if (pixels := opened.width * opened.height) > MOST_PIXELS:
                raise ValueError(f"its {pixels:,} pixels are more than the {MOST_PIXELS:,} that are read")
            return _on_white(_in_bytes(ImageOps.exif_transpose(opened)))
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: there is no such picture") from None
    # Pillow's readers raise whatever a damaged file leads them to.
    except Exception as error:
        what = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(
            f"{path}: not a picture that Pillow can read ({what[:300]}); remove or mend it "
            f"({', '.join(FORMATS)} are read)"
        ) from None


def framed(picture: Image.Image, size: int | tuple[int, int], framing: Framing, *, rim: float = 0.0) -> Image.Image:
    """`size` pixels (a side, or both): the middle, less a share `rim` of each side, or the whole squashed."""
    sides = (size, size) if isinstance(size, int) else size
    if framing == "crop":
        return ImageOps.fit(picture, sides, Image.Resampling.BILINEAR, bleed=rim)
    return picture.resize(sides, Image.Resampling.BILINEAR)


def to_tensor(picture: Image.Image, *, channels: int) -> Tensor:
    """Float pixels (1, channels, H, W) in [0, 1]."""
    levels = np.array(picture.convert("RGB" if channels == 3 else "L"))
    return torch.from_numpy(levels).reshape(1, *levels.shape[:2], -1).permute(0, 3, 1, 2).float() / 255


def to_picture(pixels: Tensor) -> Image.Image:
    """Of pixels (C, H, W) in [0, 1], rounded to 8 bits."""
    levels = (255 * pixels.detach().cpu()).round().byte()
    return Image.fromarray(levels.permute(1, 2, 0).squeeze(2).contiguous().numpy())


def through_jpeg(pixels: Tensor, quality: int) -> Tensor:
    """Pixels (1, C, H, W) after they were a JPEG file."""
    file = io.BytesIO()
    to_picture(pixels[0]).save(file, "JPEG", quality=quality)
    return to_tensor(Image.open(file), channels=pixels.shape[1]).to(pixels.device)


def _in_bytes(picture: Image.Image) -> Image.Image:
    """Grey of 16 bits or of floats with 8 bits: Pillow itself would cut off all that is above 255."""
    if picture.mode[0] not in "IF":
        return picture
    levels = np.asarray(picture).astype(np.float64)
    low, high = levels.min(), levels.max()
    most = 65535 if picture.mode[0] == "I" else 1
    if not (low >= 0 and high <= most):
        raise ValueError(f"its levels must lie in 0..{most}, got {low:g} to {high:g}")
    return Image.fromarray((levels * (255 / most)).round().astype(np.uint8))


def _on_white(picture: Image.Image) -> Image.Image:
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    upright = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", upright.size, "white"), upright).convert("RGB")
