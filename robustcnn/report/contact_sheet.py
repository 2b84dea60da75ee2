"""Many small pictures on one sheet, in rows, which may have a name."""

from __future__ import annotations

import io
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


def sheet(pictures: Tensor, *, columns: int, largest: int = 96) -> bytes:
    """Pictures (N, C, H, W) row by row without names, as a PNG; small ones enlarged."""
    rows = {str(number): part for number, part in enumerate(pictures.split(columns))}
    file = io.BytesIO()
    picture_rows(rows, columns=columns, largest=largest, label=0).save(file, format="PNG")
    return file.getvalue()


def picture_rows(
    rows: Mapping[str, Tensor], *, columns: int = 12, largest: int = 96, label: int = LABEL
) -> Image.Image:
    """Rows of pictures (N, C, H, W), uint8 or float in [0, 1], small ones enlarged; rows may differ in size.

    `label` is the width of the rows' names in pixels; 0 leaves them out.
    """
    if not rows:
        raise ValueError("rows must hold at least one row of pictures, got none")
    cells = [_cell(pictures, largest) for pictures in rows.values()]
    widths = [
        min(columns, len(pictures)) * across for pictures, (_, across, _) in zip(rows.values(), cells, strict=True)
    ]
    sheet = Image.new("RGB", (label + max(widths), sum(down for down, _, _ in cells)), "white")
    pen, top = ImageDraw.Draw(sheet), 0
    for (name, pictures), (down, across, factor) in zip(rows.items(), cells, strict=True):
        if label:
            pen.text((6, top + down // 2 - 7), name[:20], fill="black", font_size=13)
        for column, picture in enumerate(_levels(pictures[:columns])):
            sheet.paste(_enlarged(picture, factor), (label + column * across, top + GAP // 2))
        top += down
    return sheet


def _enlarged(picture: Tensor, factor: int) -> Image.Image:
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
