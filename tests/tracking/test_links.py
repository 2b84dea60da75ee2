from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from tracked import epoch, report

from robustcnn.cli.mlflow_page import _links
from robustcnn.tracking import Links, Place, SpooledTracker

LINKS = Links(base="http://127.0.0.1:5000", experiment="7", runs=("a1", "b2"))


def query(link: str) -> dict[str, object]:
    """What the page's own router reads behind the #."""
    told = parse_qs(urlsplit(link).fragment.partition("?")[2])
    return {key: json.loads(value) for key, (value,) in told.items() if key != "x_axis"}


def test_charts_show_the_chosen_runs_or_all() -> None:
    charts = "http://127.0.0.1:5000/#/experiments/7/runs?workflowType=machine_learning&compareRunsMode=CHART"
    chosen = "&searchFilter=attributes.run_id IN ('a1', 'b2')&orderByKey=metrics.`robust_accuracy`&orderByAsc=false"
    assert unquote(LINKS.charts) == charts + chosen
    assert Links(base="http://127.0.0.1:5000", experiment="7").charts == charts


def test_curves_name_their_runs_and_metrics() -> None:
    link = LINKS.curves("curve/worst_linf", "curve/pgd_linf")
    assert link.startswith("http://127.0.0.1:5000/#/metric?")
    assert query(link) == {
        "runs": ["a1", "b2"],
        "experiments": ["7"],
        "metric": "curve/worst_linf",
        "plot_metric_keys": ["curve/worst_linf", "curve/pgd_linf"],
    }
    # The page takes this one without quotes only.
    assert link.endswith("&x_axis=step")


def test_a_comparison_names_its_runs() -> None:
    assert query(LINKS.comparison) == {"runs": ["a1", "b2"], "experiments": ["7"]}


def test_no_letter_of_a_link_ends_it_in_a_terminal() -> None:
    assert not set(LINKS.curves('a "b" c')) & set(' "<>')


@pytest.mark.usefixtures("alone")
def test_a_curve_is_linked_to_the_runs_that_have_it(tmp_path: Path) -> None:
    SpooledTracker(tmp_path / "attacked").report(report())
    SpooledTracker(tmp_path / "trained").epoch(epoch(1))
    places = {
        name: Place(tracking_uri="sqlite:///x.db", experiment="e", experiment_id="7", run_id=name)
        for name in ("attacked", "trained")
    }
    lines = {line.split()[0]: line for line in _links("http://127.0.0.1:5000", places, tmp_path)}
    assert query(lines["curve/worst_linf"].split()[1])["runs"] == ["attacked"]
    assert query(lines["fit/valid_accuracy"].split()[1])["runs"] == ["trained"]
    assert "curve/worst_linf" not in str(list(_links("", {"trained": places["trained"]}, tmp_path)))
