from __future__ import annotations

import json
from urllib.parse import parse_qs, unquote, urlsplit

from robustcnn.tracking import Links

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
