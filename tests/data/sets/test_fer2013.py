from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from robustcnn.data.registry import load
from robustcnn.data.sets.fer2013 import CLASSES, read_fer2013

HEADER = "emotion,pixels,Usage"
USAGES = ["Training"] * 20 + ["PublicTest"] * 7 + ["PrivateTest"] * 7
FACES = np.random.default_rng(0).integers(0, 256, (len(USAGES), 48, 48), dtype=np.uint8)


def lines() -> list[str]:
    rows = [
        f"{number % 7},{' '.join(map(str, face.ravel().tolist()))},{usage}"
        for number, (face, usage) in enumerate(zip(FACES, USAGES, strict=True))
    ]
    return [HEADER, *rows]


def write(root: Path, rows: list[str], end: str = "\n") -> Path:
    path = root / "fer2013.csv"
    path.write_bytes(end.join([*rows, ""]).encode())
    return path


def test_every_face_lands_in_the_split_that_its_usage_says(tmp_path: Path) -> None:
    write(tmp_path, lines())
    train, validation, test = read_fer2013(tmp_path)
    assert np.array_equal(train.images[:, 0].numpy(), FACES[:20])
    assert np.array_equal(validation.images[:, 0].numpy(), FACES[20:27])
    assert np.array_equal(test.images[:, 0].numpy(), FACES[27:])
    assert train.labels.tolist() == [number % 7 for number in range(20)]
    assert train.classes == ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")


def quoted(row: str) -> str:
    return ",".join(f'"{cell}"' for cell in row.split(","))


@pytest.mark.parametrize(
    ("change", "end"),
    [(str, "\r\n"), (quoted, "\n"), (lambda row: row.replace(" ", "  "), "\n"), (lambda row: row + "\n", "\n")],
    ids=["windows", "quoted", "two spaces", "blank lines"],
)
def test_other_ways_to_write_the_same_file_read_the_same(
    tmp_path: Path, change: Callable[[str], str], end: str
) -> None:
    write(tmp_path, [change(row) for row in lines()], end)
    assert np.array_equal(read_fer2013(tmp_path)[0].images[:, 0].numpy(), FACES[:20])


def test_the_folder_of_kaggles_archive_is_found(tmp_path: Path) -> None:
    (tmp_path / "fer2013").mkdir()
    write(tmp_path / "fer2013", lines())
    assert len(read_fer2013(tmp_path)) == 3


def test_two_classes_by_name_are_relabelled_in_the_order_given(tmp_path: Path) -> None:
    write(tmp_path, lines())
    train, validation, test = load("fer2013", root=tmp_path, classes=("disgust", "angry"))
    assert [len(train), len(validation), len(test)] == [6, 2, 2]
    assert train.classes == ("disgust", "angry")
    assert np.array_equal(train.images[train.labels == 0][:, 0].numpy(), FACES[[1, 8, 15]])
    assert validation.spec == test.spec == train.spec


def replaced(row: str, *, emotion: str | None = None, pixel: str | None = None, usage: str | None = None) -> str:
    """The row with other cells; `pixel` takes the place of the tenth."""
    cells = row.split(",")
    pixels = cells[1].split()
    if pixel is not None:
        pixels[9:10] = pixel.split()
    return f"{emotion or cells[0]},{' '.join(pixels)},{usage or cells[2]}"


BAD = {
    "label 9": ({"emotion": "9"}, r"emotion must be one of 0\.\.6, found '9'"),
    "label in words": ({"emotion": "angry"}, r"emotion must be one of 0\.\.6, found 'angry'"),
    "2,303 pixels": ({"pixel": ""}, r"expected 2,304 pixels \(48x48\), found 2,303"),
    "2,305 pixels": ({"pixel": "1 2"}, "expected 2,304 pixels .* found 2,305"),
    "pixel 256": ({"pixel": "256"}, r"pixels must be whole numbers 0\.\.255, found '256' as pixel 10"),
    "huge pixel": ({"pixel": "1" * 30}, ".*found '1{30}' as pixel 10"),
    "negative pixel": ({"pixel": "-1"}, ".*found '-1' as pixel 10"),
    "no number": ({"pixel": "x7"}, ".*found 'x7' as pixel 10"),
    "a fraction": ({"pixel": "0.5"}, ".*found '0.5' as pixel 10"),
    "unknown usage": ({"usage": "Test"}, "Usage must be Training, PublicTest or PrivateTest, found 'Test'"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_row_is_named_with_what_was_expected_and_found(tmp_path: Path, name: str) -> None:
    change, text = BAD[name]
    rows = lines()
    rows[4] = replaced(rows[4], **change)
    path = write(tmp_path, rows)
    with pytest.raises(ValueError, match=f"{path}, row 5: {text}"):
        read_fer2013(tmp_path)


def test_a_row_cut_short_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, lines())
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ValueError, match="row 35: expected the 3 cells emotion,pixels,Usage, found 2; is the file cut"):
        read_fer2013(tmp_path)


@pytest.mark.parametrize("header", ["emotion, Usage, pixels", "label,pixels,Usage", ""])
def test_wrong_columns_are_shown(tmp_path: Path, header: str) -> None:
    path = write(tmp_path, [header, *lines()[1:]])
    found = header.replace(" ", "")
    with pytest.raises(ValueError, match=f"{path}: the columns must be emotion,pixels,Usage, found '{found}'"):
        read_fer2013(tmp_path)


def test_a_file_that_ends_before_the_test_rows_is_refused(tmp_path: Path) -> None:
    write(tmp_path, lines()[:24])
    with pytest.raises(ValueError, match="no row has the Usage PrivateTest; is the file cut short"):
        read_fer2013(tmp_path)


def test_an_absent_file_says_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=f"{tmp_path}/fer2013.csv is absent; get fer2013.csv from Kaggle"):
        read_fer2013(tmp_path)


def test_an_unknown_mood_lists_the_moods(tmp_path: Path) -> None:
    write(tmp_path, lines())
    with pytest.raises(ValueError, match=rf"unknown class 'anger' .*; known: {', '.join(CLASSES)}"):
        load("fer2013", root=tmp_path, classes=("anger", "disgust"))
