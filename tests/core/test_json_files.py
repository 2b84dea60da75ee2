"""Pages of JSON are read with suspicion."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from robustcnn.core.json_files import MOST, read_json


def test_a_page_larger_than_any_of_ours_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "page.json"
    path.write_text("{}")
    assert read_json(path) == {}
    # Holes take no room on a disk.
    os.truncate(path, MOST + 1)
    with pytest.raises(ValueError, match=r"has 67,108,865 bytes, a page of ours has at most 67,108,864"):
        read_json(path)
