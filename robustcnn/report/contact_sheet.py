"""Many small pictures on one sheet, in rows with a name."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from PIL import Image, ImageDraw
from torch import Tensor

from robustcnn.data.resident import ResidentDataset

LABEL, GAP = 150, 4
"""Pixels for a row's name, and between pictures."""


def contact_sheet(data: ResidentDataset, *, columns: int = 12, largest: int = 96) -> Image.Image:
    """The first `columns` pictures of every class beside its name."""
    rows = {name: data.images[data.labels == index][:columns] for index, name in enumerate(data.classes)}
    return picture_rows(rows, columns=columns, largest=largest)


def picture_rows(rows: Mapping[str, Tensor], *, columns: int = 12, largest: int = 96) -> Image.Image:
    """Rows of pictures (N, C, H, W), uint8 or float in [0, 1], small ones enlarged; rows may differ in size."""
    if not rows:
        raise ValueError("rows must hold at least one row of pictures, got none")
    cells = [_cell(pictures, largest) for pictures in rows.values()]
    widths = [
        min(columns, len(pictures)) * across for pictures, (_, across, _) in zip(rows.values(), cells, strict=True)
    ]
    sheet = Image.new("RGB", (LABEL + max(widths), sum(down for down, _, _ in cells)), "white")
    pen, top = ImageDraw.Draw(sheet), 0
    for (name, pictures), (down, across, factor) in zip(rows.items(), cells, strict=True):
        pen.text((6, top + down // 2 - 7), name[:20], fill="black", font_size=13)
        for column, picture in enumerate(_levels(pictures[:columns])):
            sheet.paste(enlarged(picture, factor), (LABEL + column * across, top + GAP // 2))
        top += down
    return sheet


def enlarged(picture: Tensor, factor: int) -> Image.Image:
    """A uint8 picture (C, H, W) with every pixel as a square of `factor` pixels."""
    pixels = picture.expand(3, -1, -1).permute(1, 2, 0).contiguous().numpy()
    image = Image.fromarray(pixels, "RGB")
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)


def _cell(pictures: Tensor, largest: int) -> tuple[int, int, int]:
    """Height and width of a picture's place, and how many times it is enlarged."""
    height, width = pictures.shape[2:]
    factor = max(1, largest // max(height, width))
    return height * factor + GAP, width * factor + GAP, factor


def _levels(pictures: Tensor) -> Tensor:
    grey = pictures if pictures.dtype == torch.uint8 else (pictures * 255).round().clamp(0, 255).byte()
    return grey.cpu()
