"""The site builds strictly, fetches nothing from elsewhere, and holds every option and every public name."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import robustcnn
from robustcnn.cli.option_list import CONFIGS, options_of

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.mark.slow
def test_no_page_fetches_anything_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        fetched = re.findall(r"<(?:script|img|iframe)[^>]*src=\"?(https?://[^\s\">]+)", page.read_text())
        fetched += re.findall(
            r"<link[^>]*rel=\"?(?:stylesheet|icon|preload)[^>]*href=\"?(https?://[^\s\">]+)", page.read_text()
        )
        assert fetched == [], page.name


@pytest.mark.slow
def test_every_public_name_has_its_entry(site: Path) -> None:
    page = (site / "reference" / "robustcnn.html").read_text()
    assert [name for name in robustcnn.__all__ if f'id="robustcnn.{name}"' not in page] == []


@pytest.mark.slow
def test_every_option_of_every_verb_is_on_the_page(site: Path) -> None:
    page = (site / "options.html").read_text()
    for verb in CONFIGS:
        assert f'id="{verb}"' in page
        assert [option.flag for option in options_of(verb) if f"<code>{option.flag}</code>" not in page] == []


def test_every_option_has_a_word_of_help() -> None:
    silent = {f"{verb} {option.flag}" for verb in CONFIGS for option in options_of(verb) if not option.says}
    # Names that say it all.
    assert {each for each in silent if not each.endswith((".name", ".seed", ".lr", ".epochs", ".batch-size"))} == set()
