"""A page whose every name tries to be markup, written once for all tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from report_examples import NAMES, make_entries

from robustcnn.report.html import page

HOSTILE = "<script>alert('class')</script>"


@pytest.fixture(scope="session")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "new" / "report.html"
    path.parent.mkdir()
    path.write_text(page(make_entries(names=(HOSTILE, "$5 & $x^", *NAMES[2:]))[1:], title="A <title> & more"))
    return path


@pytest.fixture(scope="session")
def page_text(page_file: Path) -> str:
    return page_file.read_text()
