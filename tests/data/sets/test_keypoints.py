"""Kaggle's facial keypoints: what is read, and what is said of a wrong row."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from robustcnn.data.sets.keypoints import COLUMNS, SIDE, read_keypoints

PIXELS = " ".join(str(number % 256) for number in range(SIDE * SIDE))


def write(path: Path, *rows: dict[str, str]) -> Path:
    header = [*COLUMNS, "Image"]
    good = dict.fromkeys(COLUMNS, "48") | {"Image": PIXELS}
    lines = [",".join(header), *(",".join((good | row)[name] for name in header) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_the_middle_is_0_and_the_edges_are_1(tmp_path: Path) -> None:
    known = read_keypoints(write(tmp_path / "k.csv", {}, {"nose_tip_x": "0", "nose_tip_y": "96"}))
    assert known.images.shape == (2, 1, SIDE, SIDE)
    assert known.images[0, 0, 0, 255 % SIDE] <= 1
    assert torch.equal(known.points[0], torch.zeros(30))
    assert known.points[1, 20:22].tolist() == [-1.0, 1.0]


def test_rows_without_a_point_are_left_out(tmp_path: Path) -> None:
    assert len(read_keypoints(write(tmp_path / "k.csv", {}, {"nose_tip_x": ""})).images) == 1


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"nose_tip_x": "oops"}, r"k\.csv, row 3, column nose_tip_x: must be a number in 0\.\.96 pixels, found 'oops'"),
        ({"nose_tip_y": "97"}, "row 3, column nose_tip_y: must be a number in 0..96 pixels, found '97'"),
        ({"Image": "1 2 3"}, r"row 3, column Image: expected 9,216 pixels \(96x96\), found 3"),
        ({"Image": PIXELS.replace("255", "256", 1)}, "row 3, column Image: .* found '256' as pixel 256"),
    ],
)
def test_a_wrong_cell_is_named_by_file_row_column_and_rule(tmp_path: Path, row: dict[str, str], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        read_keypoints(write(tmp_path / "k.csv", {}, row))


def test_a_missing_column_and_a_cut_row_are_named(tmp_path: Path) -> None:
    path = write(tmp_path / "k.csv", {})
    path.write_text(path.read_text().replace("nose_tip_x", "nose"))
    with pytest.raises(ValueError, match="row 1: the column nose_tip_x is missing"):
        read_keypoints(path)
    write(path, {})
    path.write_text(path.read_text() + "1,2\n")
    with pytest.raises(ValueError, match="row 3: expected 31 cells, found 2"):
        read_keypoints(path)
