"""The page in a real browser, in windows of three sizes."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PROBE = """
onload = () => {
  const found = [...document.querySelectorAll("iframe")].map(frame => {
    const page = frame.contentDocument, images = [...page.images];
    return {
      wide: page.documentElement.scrollWidth,
      broken: images.filter(image => !image.naturalWidth).length,
      images: images.length,
      boxes: [...page.querySelectorAll(".scroll, .picture")].filter(box => box.scrollWidth > box.clientWidth).length,
    };
  });
  document.body.textContent = "found " + JSON.stringify(found) + " end";
};
"""


@pytest.fixture(scope="module")
def measured(page_text: str, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """At 400 and 1280 pixels; and a page that is known to be too wide for 400."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip(f"no browser here: none of {', '.join(BROWSERS)}")
    folder = tmp_path_factory.mktemp("browser")
    # Frames, because no headless window is narrower than 500 pixels.
    frames = "".join(
        f'<iframe width="{width}" height="900" srcdoc="{html.escape(page)}"></iframe>'
        for width, page in ((400, page_text), (1280, page_text), (400, "<p style='width: 700px'>wide</p>"))
    )
    wrapper = folder / "wrapper.html"
    wrapper.write_text(f"<!doctype html><meta charset=utf-8><script>{PROBE}</script><body>{frames}</body>")
    return _run(browser, folder, wrapper)


def _run(browser: str, folder: Path, wrapper: Path) -> list[dict[str, Any]]:
    flags = [
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        f"--user-data-dir={folder / 'profile'}",
        "--dump-dom",
    ]
    done = subprocess.run([browser, *flags, wrapper.as_uri()], capture_output=True, text=True, timeout=120, check=True)
    found = re.search(r"found (\[.*\]) end", done.stdout)
    assert found, done.stderr[-500:]
    values: list[dict[str, Any]] = json.loads(html.unescape(found[1]))
    return values


def test_nothing_overflows_sideways(measured: list[dict[str, Any]]) -> None:
    narrow, wide, too_wide = (each["wide"] for each in measured)
    assert narrow == 400
    assert wide == 1280
    assert too_wide > 700


def test_wide_tables_scroll_in_boxes_of_their_own(measured: list[dict[str, Any]]) -> None:
    assert measured[0]["boxes"] > measured[1]["boxes"]


def test_every_picture_is_shown(measured: list[dict[str, Any]]) -> None:
    assert measured[0]["images"] > 10
    assert measured[0]["broken"] == 0
