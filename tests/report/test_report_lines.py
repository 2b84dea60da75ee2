"""Plain drawings: everything that is handed in is drawn."""

from __future__ import annotations

import pytest

from robustcnn.report.plots import bars, histograms, lines, png


def test_a_line_for_every_name_with_its_points() -> None:
    figure = lines({"one": [(0, 1.0), (1, 0.5)], "two": [(0, 2.0)]}, across="epoch", up="loss", log="y")
    (axes,) = figure.axes
    assert [list(line.get_ydata()) for line in axes.lines] == [[1.0, 0.5], [2.0]]
    assert (axes.get_yscale(), axes.get_xscale(), axes.get_xlabel()) == ("log", "linear", "epoch")


def test_a_bar_for_every_name_in_every_group() -> None:
    (axes,) = bars({"a": {"clean": 0.9, "attacked": 0.1}, "b": {"clean": 0.8, "attacked": 0.2}}, along="accuracy").axes
    assert sorted(bar.get_width() for bar in axes.patches) == [0.1, 0.2, 0.8, 0.9]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["a", "b"]


def test_no_value_is_lost_beyond_the_ends_of_a_histogram() -> None:
    (axes,) = histograms({"w": [-9.0, 0.0, 0.01, 9.0]}, along="weight", reach=0.1, bins=10).axes
    assert sum(patch.get_height() for patch in axes.patches) == pytest.approx(4)


def test_a_logarithmic_axis_has_plain_numbers() -> None:
    figure = lines({"one": [(0.01, 1.0), (100, 1e4)]}, across="seconds", up="loss", log="xy")
    png(figure)
    (axes,) = figure.axes
    written = [tick.get_text() for tick in (*axes.get_xticklabels(), *axes.get_yticklabels())]
    assert "1" in written
    assert [text for text in written if "math" in text] == []
