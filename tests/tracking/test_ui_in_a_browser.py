"""What a person sees: four runs of a real store on a real server in a real browser."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from tracked import NoUploader, epoch, report, threat

from robustcnn.tracking import Links, SpooledTracker, Store, outbox, read_place, serve, sync

pytestmark = [pytest.mark.slow, pytest.mark.browser]
NAMES = ("plain", "dropout", "augmented", "adversarial")
CURVE = "curve/worst_linf"


@pytest.fixture
def browser() -> str:
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.skip("no Chromium on the PATH")
    return found


@pytest.fixture(scope="module")
def links(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Iterator[Links]:
    """To four runs whose curves fall at different speeds."""
    runs = tmp_path_factory.mktemp("ui") / "mlruns" / "checkpoints"
    runs.mkdir(parents=True)
    shutil.copy(empty_database, runs.parent)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outbox, "Uploader", NoUploader)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        for speed, name in zip((12, 9, 6, 3), NAMES, strict=True):
            tell(runs / name, speed)
        places = [place for name in NAMES if (place := read_place(runs / name))]
        with serve(Store.of(runs)) as url:
            yield Links(base=url, experiment=places[0].experiment_id, runs=[place.run_id for place in places])


def tell(folder: Path, speed: int) -> None:
    with SpooledTracker(folder, say=lambda _: None) as tracker:
        tracker.epoch(epoch(1))
        balls = tuple(threat("linf", eps / 255, max(0, 95 - speed * eps)) for eps in (1, 2, 4, 8, 16))
        tracker.report(replace(report(), threats=balls))
    sync(folder)


def opened(browser: str, link: str, folder: Path, *options: str) -> str:
    """What the browser prints of the page once it has settled."""
    # Root has no sandbox; a fresh profile remembers no layout.
    flags = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1600,1200")
    waiting = ("--virtual-time-budget=20000", f"--user-data-dir={folder}")
    command = [browser, *flags, *waiting, *options, link]
    return subprocess.run(command, capture_output=True, text=True, timeout=180, check=True).stdout


def test_the_curves_link_draws_one_line_a_run(browser: str, links: Links, tmp_path: Path) -> None:
    page = opened(browser, links.curves(CURVE), tmp_path / "profile", "--dump-dom")
    for name in NAMES:
        assert f"{name} ({CURVE})" in page, "the legend names each run"
    assert page.count('class="js-line"') == 2 * len(NAMES), "a line in the plot and one in the legend"
    assert "Error while loading" not in page


def test_the_charts_link_lists_the_runs_and_their_metrics(browser: str, links: Links, tmp_path: Path) -> None:
    chosen = replace(links, runs=links.runs[:3])
    page = opened(browser, chosen.charts, tmp_path / "profile", "--dump-dom")
    for name in NAMES[:3]:
        assert f">{name}<" in page
    assert f">{NAMES[3]}<" not in page, "runs that were not asked for stay away"
    for section in ("clean", "curve", "worst/linf_8"):
        assert section in page


def test_the_curves_can_be_seen(browser: str, links: Links, tmp_path: Path) -> None:
    shot = tmp_path / "shot.png"
    opened(browser, links.curves(CURVE), tmp_path / "profile", f"--screenshot={shot}")
    with Image.open(shot) as image:
        # Inside the axes, below the toolbar.
        plot = image.convert("RGB").crop((600, 190, 1140, 360))
    drawn = [count for count, colour in plot.getcolors(plot.width * plot.height) or [] if min(colour) < 150]
    # Two of the four may have got the same colour.
    assert len([count for count in drawn if count > 100]) >= 3
