"""Sheets of small pictures."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from robustcnn.data.resident import ResidentDataset
from robustcnn.report.contact_sheet import GAP, LABEL, contact_sheet, picture_rows


def test_rows_of_different_sizes_lie_below_each_other_each_enlarged_by_a_whole_factor() -> None:
    small, large = torch.zeros(2, 1, 2, 2), torch.full((3, 3, 4, 4), 255, dtype=torch.uint8)
    small[1, 0, 0, 1] = 1.0
    sheet = np.asarray(picture_rows({"small": small, "large": large}, largest=8))
    assert sheet.shape == (2 * (8 + GAP), LABEL + 3 * (8 + GAP), 3)
    second = sheet[GAP // 2 : GAP // 2 + 8, LABEL + 8 + GAP : LABEL + 16 + GAP, 0]
    expected = np.zeros((8, 8))
    expected[:4, 4:] = 255
    np.testing.assert_array_equal(second, expected)


def test_a_contact_sheet_has_a_row_for_every_class_and_no_more_than_its_columns(tiny: ResidentDataset) -> None:
    sheet = np.asarray(contact_sheet(tiny, columns=5, largest=12))
    assert sheet.shape == (len(tiny.classes) * (12 + GAP), LABEL + 5 * (12 + GAP), 3)
    first = tiny.images[tiny.labels == 1][0, 0].numpy()
    top = 12 + GAP + GAP // 2
    np.testing.assert_array_equal(sheet[top : top + 12, LABEL : LABEL + 12, 0], first)


def test_no_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="rows must hold at least one row of pictures, got none"):
        picture_rows({})
