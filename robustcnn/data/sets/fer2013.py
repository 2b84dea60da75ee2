"""FER2013, faces in seven moods: the Kaggle file `emotion,pixels,Usage`, one face of 48x48 grey pixels a row."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from robustcnn.core.plain_data import shown
from robustcnn.data.resident import ResidentDataset
from robustcnn.data.sets.places import absent
from robustcnn.data.sets.raw import resident

CLASSES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
HEADER = ["emotion", "pixels", "Usage"]
USAGES = ("Training", "PublicTest", "PrivateTest")
SIDE = 48
MOST_OF_A_ROW = 1 << 16
"""Bytes: a face of 2,304 levels has at most 9,300."""
CURE = (
    "get fer2013.csv from Kaggle (challenges-in-representation-learning-facial-expression-recognition-challenge) "
    "and put it into the data root"
)


def read_fer2013(root: Path) -> tuple[ResidentDataset, ...]:
    """Training, validation (PublicTest) and test (PrivateTest), as the competition split them."""
    path = next((p for p in (root / "fer2013.csv", root / "fer2013" / "fer2013.csv") if p.is_file()), None)
    if path is None:
        raise absent(root / "fer2013.csv", CURE)
    labels: dict[str, list[int]] = {usage: [] for usage in USAGES}
    faces: dict[str, bytearray] = {usage: bytearray() for usage in USAGES}
    for label, face, usage in _rows(path):
        labels[usage].append(label)
        faces[usage] += face
    if empty := [usage for usage in USAGES if not labels[usage]]:
        raise ValueError(f"{path}: no row has the Usage {' or '.join(empty)}; is the file cut short?")
    images = {usage: np.frombuffer(faces[usage], np.uint8).reshape(-1, SIDE, SIDE) for usage in USAGES}
    return tuple(resident(images[usage], np.array(labels[usage]), CLASSES) for usage in USAGES)


def _rows(path: Path) -> Iterator[tuple[int, bytes, str]]:
    """Label, pixels and usage of each row; rows are counted as in a spreadsheet, the header being row 1."""
    with path.open("rb") as file:
        header = [_text(name) for name in file.readline(MOST_OF_A_ROW).split(b",")]
        if header != HEADER:
            raise ValueError(f"{path}: the columns must be {','.join(HEADER)}, found {shown(','.join(header))}")
        for number, line in enumerate(iter(lambda: file.readline(MOST_OF_A_ROW), b""), start=2):
            if line.strip():
                try:
                    yield _row(line)
                except ValueError as error:
                    raise ValueError(f"{path}, row {number}: {error}") from None


def _row(line: bytes) -> tuple[int, bytes, str]:
    cells = line.split(b",")
    if len(cells) != len(HEADER):
        raise ValueError(f"expected the 3 cells {','.join(HEADER)}, found {len(cells)}; is the file cut short?")
    emotion, usage = _text(cells[0]), _text(cells[2])
    if emotion not in {str(label) for label in range(len(CLASSES))}:
        raise ValueError(f"emotion must be one of 0..{len(CLASSES) - 1}, found {shown(emotion)}")
    if usage not in USAGES:
        raise ValueError(f"Usage must be {', '.join(USAGES[:-1])} or {USAGES[-1]}, found {shown(usage)}")
    return int(emotion), _levels(cells[1].strip(b' "')), usage


def _text(cell: bytes) -> str:
    return cell.decode(errors="replace").strip('\ufeff \r\n"')


def _levels(text: bytes) -> bytes:
    """The grey levels of one face."""
    # numpy reads 83 million numbers in two seconds, but takes a minus sign or a letter as it pleases: look first.
    if not text.translate(None, b"0123456789 "):
        levels = np.fromstring(text, np.int64, sep=" ")
        if len(levels) == SIDE * SIDE and levels.max() < 256:
            return levels.astype(np.uint8).tobytes()
    return _levels_one_by_one(text)


def _levels_one_by_one(text: bytes) -> bytes:
    """The slow way, for rows that are written oddly or wrong: it can say what is wrong."""
    tokens = text.split()
    if len(tokens) != SIDE * SIDE:
        raise ValueError(f"expected {SIDE * SIDE:,} pixels ({SIDE}x{SIDE}), found {len(tokens):,}")
    for place, token in enumerate(tokens, start=1):
        if not token.isdigit() or int(token) > 255:
            raise ValueError(f"pixels must be whole numbers 0..255, found {shown(_text(token))} as pixel {place:,}")
    return bytes(map(int, tokens))
