"""Many small pictures on one sheet, a row a class."""

from __future__ import annotations

import torch
from PIL import Image, ImageDraw

from robustcnn.data.resident import ResidentDataset


def contact_sheet(data: ResidentDataset, *, columns: int = 12, largest: int = 96) -> Image.Image:
    """The first `columns` pictures of every class beside its name; small ones are enlarged by a whole factor."""
    _, height, width = data.spec.shape
    factor = max(1, largest // max(height, width))
    cell, label = (width * factor + 4, height * factor + 4), 150
    sheet = Image.new("RGB", (label + columns * cell[0], len(data.classes) * cell[1]), "white")
    pen = ImageDraw.Draw(sheet)
    for row, name in enumerate(data.classes):
        pen.text((6, row * cell[1] + cell[1] // 2 - 6), name[:24], fill="black")
        chosen = (data.labels == row).nonzero().flatten()[:columns]
        for column, picture in enumerate(data.images[chosen].cpu()):
            place = (label + column * cell[0], row * cell[1] + 2)
            sheet.paste(_enlarged(picture, factor), place)
    return sheet


def _enlarged(picture: torch.Tensor, factor: int) -> Image.Image:
    pixels = picture.expand(3, -1, -1).permute(1, 2, 0).contiguous().numpy()
    image = Image.fromarray(pixels, "RGB")
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
