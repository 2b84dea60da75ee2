"""Places of points in faces: Kaggle's facial-keypoints csv, thirty coordinates and 96x96 grey pixels a row."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from robustcnn.core.plain_data import shown
from robustcnn.data.sets.drawn_faces import POINTS
from robustcnn.data.sets.raw import Array

SIDE = 96
COLUMNS = tuple(f"{name}_{axis}" for name in POINTS for axis in ("x", "y"))


class Keypoints(NamedTuple):
    images: Tensor
    """(N, 1, 96, 96) in [0, 1]."""
    points: Tensor
    """(N, 30): across and down of each point, 0 in the middle, -1 and 1 at the edges."""


def scaled(points: Tensor, size: int = SIDE) -> Tensor:
    """Pixels (N, 15, 2) as numbers between -1 and 1, (N, 30)."""
    return (points / (size / 2) - 1).flatten(1)


def read_keypoints(path: Path) -> Keypoints:
    """Rows that lack a point are left out; the columns may come in any order."""
    images, points = [], []
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        header = [name.strip() for name in file.readline().rstrip("\r\n").split(",")]
        if missing := [name for name in (*COLUMNS, "Image") if name not in header]:
            raise ValueError(f"{path}, row 1: the column {missing[0]} is missing, found {shown(','.join(header))}")
        for number, line in enumerate(file, start=2):
            cells = line.rstrip("\r\n").split(",")
            if len(cells) != len(header):
                raise ValueError(f"{path}, row {number}: expected {len(header)} cells, found {len(cells)}")
            row = dict(zip(header, cells, strict=True))
            if all(row[name].strip() for name in COLUMNS):
                points.append([_number(path, number, name, row[name]) for name in COLUMNS])
                images.append(_pixels(path, number, row["Image"]))
    if not images:
        raise ValueError(f"{path}: no row has all {len(POINTS)} points")
    pixels = torch.from_numpy(np.stack(images)).view(-1, 1, SIDE, SIDE).float() / 255
    return Keypoints(pixels, scaled(torch.tensor(points).view(-1, len(POINTS), 2)))


def _number(path: Path, row: int, column: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 <= value <= SIDE:
        raise ValueError(
            f"{path}, row {row}, column {column}: must be a number in 0..{SIDE} pixels, found {shown(text)}"
        )
    return value


def _pixels(path: Path, row: int, text: str) -> Array:
    where, tokens = f"{path}, row {row}, column Image:", text.split()
    if len(tokens) != SIDE * SIDE:
        raise ValueError(f"{where} expected {SIDE * SIDE:,} pixels ({SIDE}x{SIDE}), found {len(tokens):,}")
    for place, token in enumerate(tokens, start=1):
        if not token.isdigit() or int(token) > 255:
            raise ValueError(f"{where} pixels must be whole numbers 0..255, found {shown(token)} as pixel {place:,}")
    return np.array(tokens, np.uint8)
