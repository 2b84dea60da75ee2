"""What a person sees: four runs of a real store on a real server in a real browser, in windows of two widths."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tracked import NoUploader, epoch, report, threat

from robustcnn.tracking import Links, SpooledTracker, Store, outbox, read_place, serve, sync
from robustcnn.tracking.note import evaluated_note

pytestmark = [pytest.mark.slow, pytest.mark.browser]
NAMES = ("plain", "dropout", "augmented", "adversarial")
CURVE = "curve/worst_linf"
BALL = ("linf", 8 / 255)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.skip("no Chromium on the PATH")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # Root has no sandbox.
        flags = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        opened = playwright.chromium.launch(executable_path=found, args=flags)
        yield opened
        opened.close()


@pytest.fixture(params=[1600, 1000])
def page(browser: Any, request: pytest.FixtureRequest) -> Iterator[Any]:
    """A fresh one, which remembers nothing."""
    context = browser.new_context(viewport={"width": request.param, "height": 1000})
    context.set_default_timeout(90_000)
    yield context.new_page()
    context.close()


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
    balls = tuple(threat("linf", eps / 255, max(0, 95 - speed * eps)) for eps in (1, 2, 4, 8, 16))
    told = replace(report(), threats=balls)
    with SpooledTracker(folder, group="four", say=lambda _: None) as tracker:
        tracker.epoch(epoch(1))
        tracker.report(told, ball=BALL)
        tracker.artifact("figures/curve.png", content=picture(speed), under="figures")
        tracker.artifact("report.html", content=b"<!doctype html><h1>Can these numbers be trusted?</h1>")
        tracker.picture("figures/curve.png", "robustness curve")
        (folder / "worst.json").write_text(json.dumps({"said": ["seven"], "clean": ["figures/curve.png"]}))
        tracker.table("worst.json")
        tracker.note(evaluated_note(told, command="robustcnn evaluate plain", figures=["figures/curve.png"]))
    sync(folder)


def picture(level: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (64, 48), (20 * level, 80, 160)).save(file, format="PNG")
    return file.getvalue()


def test_the_table_has_the_most_robust_run_first_and_the_columns_that_matter(page: Any, links: Links) -> None:
    page.goto(links.table)
    page.get_by_text("Sort: robust_accuracy").first.wait_for()
    for name in NAMES:
        page.get_by_role("link", name=name, exact=True).wait_for()
    places = {name: page.get_by_role("link", name=name, exact=True).bounding_box()["y"] for name in NAMES}
    assert sorted(places, key=places.__getitem__) == list(reversed(NAMES))
    assert page.get_by_text("Model training").is_visible()
    if page.viewport_size["width"] >= 1600:
        # In a narrow window one scrolls to it.
        assert page.get_by_text("accuracy", exact=True).first.is_visible()


def test_the_charts_begin_with_the_headline_and_the_curve_over_eps(page: Any, links: Links) -> None:
    page.goto(f"{links.table}&compareRunsMode=CHART")
    page.get_by_text("Headline").first.wait_for()
    sections = page.get_by_text("Robust accuracy over eps").first
    sections.wait_for()
    sections.scroll_into_view_if_needed()
    page.locator(".js-plotly-plot .scatterlayer .js-line").first.wait_for()
    # The last number below the curve is eps itself, 16/255, and no step.
    axes = page.locator(".js-plotly-plot:has(.scatterlayer .js-line)").first.locator(".xtick text").all_text_contents()
    assert max(float(text) for text in axes) < 0.1


def test_the_curves_link_draws_one_line_a_run(page: Any, links: Links) -> None:
    page.goto(links.curves(CURVE))
    page.locator(".js-line").first.wait_for()
    for name in NAMES:
        assert page.get_by_text(f"{name} ({CURVE})").count(), "the legend names each run"
    assert page.locator(".js-line").count() == 2 * len(NAMES), "a line in the plot and one in the legend"


def test_a_runs_page_describes_it_and_its_picture_is_shown(page: Any, links: Links) -> None:
    page.goto(f"{links.base}/#/experiments/{links.experiment}/runs/{links.runs[0]}?workflowType=machine_learning")
    page.get_by_text("Can these figures be trusted?").wait_for()
    assert page.get_by_text("robustcnn evaluate plain").count()
    # The description ends in pictures, and is unfolded first.
    if page.get_by_text("Show more").count():
        page.get_by_text("Show more").first.click()
    shown = page.locator('img[src*="get-artifact"]')
    shown.first.wait_for()
    page.wait_for_function("() => document.querySelector('img[src*=\"get-artifact\"]').naturalWidth === 64")


def test_the_report_opens_among_the_artifacts(page: Any, links: Links) -> None:
    run = f"{links.base}/#/experiments/{links.experiment}/runs/{links.runs[0]}"
    page.goto(f"{run}/artifacts/report.html")
    page.get_by_text("report.html").first.wait_for()
    page.frame_locator("iframe").get_by_text("Can these numbers be trusted?").wait_for()
