"""Generated pictures side by side."""

from __future__ import annotations

import io

from PIL import Image
from torch import Tensor

from robustcnn.report.contact_sheet import enlarged

GAP = 2
"""White pixels between pictures."""


def sheet(images: Tensor, *, columns: int, largest: int = 96) -> bytes:
    """Float images (N, C, H, W) in [0, 1] row by row, as a PNG; small ones are enlarged by a whole factor."""
    height, width = images.shape[2:]
    factor = max(1, largest // max(height, width))
    down, across = height * factor + GAP, width * factor + GAP
    rows = -(-len(images) // columns)
    page = Image.new("RGB", (columns * across + GAP, rows * down + GAP), "white")
    levels = (images * 255).round().clamp(0, 255).byte().cpu()
    for index, picture in enumerate(levels):
        page.paste(enlarged(picture, factor), (GAP + index % columns * across, GAP + index // columns * down))
    file = io.BytesIO()
    page.save(file, format="PNG")
    return file.getvalue()
