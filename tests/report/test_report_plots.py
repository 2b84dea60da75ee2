from __future__ import annotations

from dataclasses import replace

import matplotlib
import numpy as np
import pytest
from matplotlib import pyplot
from report_examples import ATTACKS, NAMES, make_gallery, make_history, make_metrics, make_report

from robustcnn.core.queries import Queries
from robustcnn.core.results import Share, Smallest, TransferScore
from robustcnn.report import plots

REPORT = make_report("m", strength=1.0)
CLEAN, WORST = REPORT.clean, REPORT.threats[3].worst


def test_the_robustness_curve_goes_through_the_numbers_in_grey_levels() -> None:
    (axes,) = plots.robustness_curves({"m": REPORT}, "linf").axes
    line = axes.lines[0]
    np.testing.assert_allclose(line.get_xdata(), [0, 1, 2, 4, 8, 12, 16])
    shares = [CLEAN.accuracy, *(threat.robust for threat in REPORT.threats[:6])]
    np.testing.assert_array_equal(line.get_ydata(), [share.value for share in shares])
    band = axes.collections[0].get_paths()[0].vertices
    assert {share.low for share in shares} | {share.high for share in shares} <= set(band[:, 1])
    assert axes.get_xlabel() == "eps (1/255)"


def test_the_l2_axis_is_not_in_grey_levels() -> None:
    (axes,) = plots.robustness_curves({"m": REPORT}, "l2").axes
    assert axes.get_xlabel() == "eps (l2)"
    np.testing.assert_allclose(axes.lines[0].get_xdata(), [0, 0.1, 0.25, 0.5, 1, 1.5, 2])


def test_one_model_shows_its_attacks_and_several_only_their_worst_case() -> None:
    def legend(*names: str) -> list[str]:
        figure = plots.robustness_curves(dict.fromkeys(names, REPORT), "linf")
        return [text.get_text() for text in figure.legends[0].get_texts()]

    assert legend("m") == ["worst case", *ATTACKS]
    assert legend("first", "second") == ["first", "second"]


def test_an_unlimited_ball_is_left_out_of_the_curve() -> None:
    report = replace(REPORT, threats=(*REPORT.threats, replace(REPORT.threats[-1], eps=float("inf"))))
    (axes,) = plots.robustness_curves({"m": report}, "l2").axes
    assert np.isfinite(axes.lines[0].get_xdata()).all()


def test_smallest_eps_rises_to_the_share_that_fell_and_marks_the_median() -> None:
    smallest = Smallest(norm="linf", eps=(0.0, 2 / 255, 2 / 255, None), median=2 / 255)
    (axes,) = plots.smallest_eps({"m": smallest}).axes
    steps, median = axes.lines[:2]
    np.testing.assert_allclose(steps.get_xdata(), [0, 0, 2, 2, 2])
    np.testing.assert_allclose(steps.get_ydata(), [0, 0.25, 0.5, 0.75, 0.75])
    np.testing.assert_allclose(median.get_xydata(), [[2, 0.5]])


def test_a_model_that_never_breaks_still_has_a_line() -> None:
    (axes,) = plots.smallest_eps({"m": Smallest(norm="l2", eps=(None, None), median=None)}).axes
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), [0, 0])


def test_confusion_shows_clean_beside_attacked() -> None:
    first, second = plots.confusion(CLEAN, WORST).axes
    for pane, metrics in ((first, CLEAN), (second, WORST)):
        counts = np.array(metrics.confusion)
        np.testing.assert_allclose(pane.collections[0].get_array(), counts / counts.sum(1, keepdims=True))
        assert [text.get_text() for text in pane.texts] == ["" if not count else str(count) for count in counts.flat]
        assert str(metrics.accuracy) in pane.get_title(loc="left")
    assert [text.get_text() for text in first.get_yticklabels()] == list(NAMES)


def test_a_class_without_examples_stays_blank() -> None:
    confusion = ((0,) * 10, *CLEAN.confusion[1:])
    pane = plots.confusion(replace(CLEAN, confusion=confusion), WORST).axes[0]
    assert not pane.collections[0].get_array()[0].any()


def test_roc_draws_each_class_that_has_a_curve_and_their_mean() -> None:
    undefined = replace(CLEAN.classes[0], roc=(), auc=None)
    clean = replace(CLEAN, classes=(undefined, *CLEAN.classes[1:]))
    figure = plots.roc_curves(clean, WORST)
    assert len(figure.axes[0].lines) == 1 + (9 + 1) + (10 + 1)
    assert figure.legends[0].get_texts()[1].get_text() == f"attacked, AUC {WORST.auc:.3f}"


def test_the_mean_roc_has_the_mean_area() -> None:
    line = plots.roc_curves(CLEAN, WORST).axes[0].lines[-1]
    assert np.trapezoid(line.get_ydata(), line.get_xdata()) == pytest.approx(WORST.auc, abs=0.01)


def test_reliability_draws_the_bins_that_hold_answers() -> None:
    (axes,) = plots.reliability(CLEAN, WORST).axes
    for metrics, dots in zip((CLEAN, WORST), axes.collections, strict=True):
        expected = [(each.confidence, each.accuracy) for each in metrics.reliability if each.count]
        np.testing.assert_allclose(dots.get_offsets(), expected)


def test_per_class_bars_are_robust_accuracies_with_their_intervals() -> None:
    lacking = replace(WORST.classes[2], recall=Share.of(0, 0))
    worst = replace(WORST, classes=(*WORST.classes[:2], lacking, *WORST.classes[3:]))
    (axes,) = plots.per_class(CLEAN, worst).axes
    assert axes.patches[0].get_width() == WORST.classes[0].recall.value
    ends = axes.collections[0].get_segments()[0][:, 0]
    np.testing.assert_allclose(ends, [WORST.classes[0].recall.low, WORST.classes[0].recall.high])
    assert [text.get_text() for text in axes.texts] == ["undefined"]


def test_the_loss_curve_is_logarithmic_and_marks_the_best_epoch() -> None:
    history = make_history(12)
    (axes,) = plots.loss_curve(history).axes
    assert axes.get_yscale() == "log"
    np.testing.assert_array_equal(axes.lines[1].get_ydata(), [epoch.valid_loss for epoch in history])
    best = min(history, key=lambda epoch: epoch.valid_loss).epoch
    assert list(axes.lines[2].get_xdata()) == [best, best]


def test_the_gallery_amplifies_the_change_by_the_factor_it_states() -> None:
    pictures = make_gallery()
    (pane,) = plots.gallery(pictures).axes
    assert len(pane.images) == 3 * len(pictures)
    change = pictures.adversarial[0, 0] - pictures.clean[0, 0]
    amplified = pane.images[len(pictures)]
    np.testing.assert_allclose(amplified.get_array(), 0.5 + 10 * change, atol=1e-6)
    middles = {each.get_text(): each.get_position()[0] for each in pane.texts}
    left, right = amplified.get_extent()[:2]
    assert middles["change × 10"] == (left + right) / 2
    assert middles["T-shirt\n99.0%"] < left < right < middles["coat\n60.0%"]


@pytest.mark.parametrize(("channels", "count"), [(1, 1), (3, 2)])
def test_the_gallery_draws_grey_and_colour_pictures(channels: int, count: int) -> None:
    panes = plots.gallery(make_gallery(channels, count=count)).axes
    assert panes[0].images[0].get_array().shape == ((28, 28) if channels == 1 else (28, 28, 3))


def test_transfer_puts_each_pair_in_its_cell() -> None:
    shares = {("a", "b"): 40, ("b", "a"): 70, ("a", "a"): 10}
    scores = [TransferScore(source=s, target=t, accuracy=Share.of(hits, 100)) for (s, t), hits in shares.items()]
    (axes,) = plots.transfer(scores).axes
    assert [text.get_text() for text in axes.get_yticklabels()] == ["a", "b"]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["b", "a"]
    np.testing.assert_allclose(axes.collections[0].get_array().filled(np.nan), [[0.4, 0.1], [np.nan, 0.7]])


def test_corruptions_have_a_row_each_and_a_column_a_severity() -> None:
    (axes,) = plots.corruptions(REPORT.corruptions).axes
    expected = [[share.value for share in each.accuracy] for each in REPORT.corruptions]
    np.testing.assert_allclose(axes.collections[0].get_array(), expected)
    assert [text.get_text() for text in axes.texts][:2] == ["85", "75"]


def test_drawing_leaves_no_trace() -> None:
    before = dict(matplotlib.rcParams)
    plots.png(plots.loss_curve(make_history(3)))
    assert dict(matplotlib.rcParams) == before
    assert pyplot.get_fignums() == []


def test_a_dollar_in_a_name_is_no_formula() -> None:
    names = ("$x^", "$5", "\\frac{")
    clean, attacked = make_metrics(3, names=names), make_metrics(1, names=names)
    assert plots.png(plots.per_class(clean, attacked))
    assert plots.png(plots.robustness_curves({"$\\bad{$": REPORT, "b": REPORT}, "l2"))


def test_the_same_values_give_the_same_file() -> None:
    first, second = (plots.png(plots.loss_curve(make_history(3))) for _ in range(2))
    assert first == second


def test_training_effects_stand_at_mean_and_deviation_a_row_each() -> None:
    ways = {"plain": {0.0: [0.9, 0.8], 0.1: [0.0, 0.0]}, "hardened": {0.0: [0.7, 0.7], 0.1: [0.5, 0.6]}}
    (axes,) = plots.training_effects(ways).axes
    clean, attacked = axes.containers
    np.testing.assert_allclose(clean.lines[0].get_xydata(), [[0.85, 0], [0.7, 1]])
    np.testing.assert_allclose(attacked.lines[0].get_xydata(), [[0.0, 0], [0.55, 1]])
    (bars,) = attacked.lines[2]
    np.testing.assert_allclose(bars.get_segments()[1], [[0.55 - 0.5**0.5 / 10, 1], [0.55 + 0.5**0.5 / 10, 1]])
    assert [label.get_text() for label in axes.get_yticklabels()] == ["plain", "hardened"]
    with pytest.raises(ValueError, match="accuracies must hold at least one way of training, got none"):
        plots.training_effects({})


def test_a_query_curve_steps_down_where_successes_were_and_ends_flat() -> None:
    cost = Queries(median=20.0, total=400, curve=((0, 0.9), (10, 0.6), (20, 0.5), (100, 0.3)))
    other = Queries(median=None, total=300, curve=((0, 0.9),))
    (axes,) = plots.query_curves({"walk": cost, "noise": other}).axes
    walk, dot, noise = axes.lines
    assert list(walk.get_xdata()) == [0, 10, 20, 100, 100]
    assert list(walk.get_ydata()) == [0.9, 0.6, 0.5, 0.3, 0.3]
    assert (dot.get_xdata()[0], dot.get_ydata()[0]) == (20, 0.5)
    assert list(noise.get_xdata()) == [0, 100]
    assert [text.get_text() for text in axes.figure.legends[0].get_texts()] == ["walk", "noise"]
