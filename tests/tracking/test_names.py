"""Names that MLflow takes, and numbers that are the report's."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tracked import CURVE, epoch, report, threat

from robustcnn.core.audited import Audited
from robustcnn.core.results import VERDICTS, Finding
from robustcnn.tracking.names import (
    LONGEST_KEY,
    LONGEST_PARAM,
    epoch_points,
    flat,
    headline_points,
    label,
    report_points,
    report_tags,
    safe,
    step_of,
    strength,
    tag_texts,
)
from robustcnn.tracking.records import Point


def values(points: tuple[Point, ...]) -> dict[str, float]:
    return {point.key: point.value for point in points}


def curve(points: tuple[Point, ...], key: str) -> dict[int, float]:
    return {point.step: point.value for point in points if point.key == key}


@settings(deadline=None)
@given(st.text(min_size=1, max_size=300))
def test_mlflow_takes_every_safe_name(text: str) -> None:
    from mlflow.utils.validation import _validate_metric_name, _validate_param_name, _validate_tag_name

    name = safe(text)
    for validate in (_validate_metric_name, _validate_param_name, _validate_tag_name):
        validate(name)
    assert len(name) <= LONGEST_KEY
    assert safe(name) == name


def test_names_that_differ_only_far_behind_stay_different() -> None:
    first, second = (safe("x" * 300 + end) for end in "ab")
    assert first != second


def test_attacks_keep_their_settings_in_their_names() -> None:
    assert safe("curve/PGD(steps=40, loss='dlr')") == "curve/PGD_steps_40_loss_dlr"


def test_a_config_is_flattened_to_texts_within_the_limits() -> None:
    plain = {"name": "", "fit": {"optim": {"lr": 0.1}, "clip": None}, "attacks": [{"a": 1}], "long": "x" * 7000}
    told = flat(plain)
    assert told["fit.optim.lr"] == "0.1"
    assert told["fit.clip"] == "None"
    assert told["attacks"] == '[{"a": 1}]'
    assert told["name"] == ""
    assert len(told["long"]) == LONGEST_PARAM


def test_an_epoch_tells_all_its_numbers_at_its_own_step() -> None:
    points = epoch_points(epoch(4))
    assert {point.step for point in points} == {4}
    assert values(points) == {
        "fit/train_loss": 0.25,
        "fit/valid_loss": 0.5,
        "fit/valid_accuracy": 0.875,
        "fit/learning_rate": 0.1,
        "fit/images_per_second": 1000.0,
        "fit/seconds": 0.5,
        "fit/train_over_valid": 0.5,
    }


def test_the_curve_runs_over_grey_levels_from_the_clean_accuracy_on() -> None:
    points = report_points(report())
    assert curve(points, "curve/worst_linf") == {round(eps * 255): hits / 100 for eps, hits in CURVE.items()}
    assert curve(points, "curve/pgd_steps_40_loss_dlr_linf")[8] == 0.48
    assert curve(points, "curve/worst_l2") == {0: 0.95, 500: 0.60}


def test_the_headline_is_at_most_a_dozen_plain_numbers_about_one_ball() -> None:
    points = headline_points(report(), ("linf", 8 / 255))
    plain = {key: value for key, value in values(points).items() if not key.startswith("interval/")}
    assert len(plain) <= 12
    assert not [key for key in plain if "/" in key]
    assert plain["accuracy"] == 0.95
    assert plain["robust_accuracy"] == 0.45
    assert plain["robust_f1"] == 0.225
    assert plain["eps"] == 0.03137, "four digits, for a table shows all"
    assert plain["verdict"] == VERDICTS.index("warn")
    told = values(points)
    assert told["interval/robust_accuracy_low"] < 0.45 < told["interval/robust_accuracy_high"]


def test_a_ball_that_was_not_tried_leaves_the_headline_to_the_largest() -> None:
    assert values(headline_points(report(), ("linf", 0.123)))["eps"] == 0.5
    assert "robust_accuracy" not in values(headline_points(replace(report(), threats=())))


def test_ensembles_examples_and_what_fell_make_an_evaluation_strong() -> None:
    ball = ("linf", 8 / 255)
    weak = report()
    ensemble = replace(weak.threats[1].attacks[0], attack="AutoAttack()")
    strong = replace(weak, threats=tuple(replace(each, attacks=(ensemble,)) for each in weak.threats))
    assert strength(strong, ball) > strength(replace(weak, count=10_000), ball) > strength(weak, ball) > []


AUDIT = Audited(
    count=1000, stood=533, drawn=500, broken=2, value=0.531, low=0.523, high=0.537, new_low=0.49, new_high=0.57
)


def test_an_audited_figure_is_the_headline_and_stands_beside_the_cheap_one() -> None:
    cheap = report()
    audited = replace(cheap, threats=tuple(replace(each, audit=AUDIT) for each in cheap.threats))
    headline, told = values(headline_points(audited)), values(report_points(audited))
    assert (headline["robust_accuracy"], headline["interval/robust_accuracy_high"]) == (0.531, 0.537)
    assert (told["audited/linf_8"], told["audited/broken_linf_8"], told["robust/linf_8"]) == (0.531, 0.004, 0.45)
    assert told["interval/audited_l2_0.5_low"] == 0.523
    assert strength(audited, None) > strength(cheap, None)


def test_every_ball_has_its_robust_accuracy() -> None:
    told = values(report_points(report()))
    assert told["robust/linf_8"] == 0.45
    assert told["robust/linf_0.3"] == 0.05
    assert told["robust/l2_0.5"] == 0.60


def test_eps_itself_stands_beside_the_curve() -> None:
    points = report_points(report())
    assert set(curve(points, "eps/linf")) == set(curve(points, "curve/worst_linf"))
    assert curve(points, "eps/linf")[8] == 8 / 255
    assert curve(points, "eps/l2") == {0: 0, 500: 0.5}


def test_clean_and_attacked_scores_are_all_told_and_undefined_ones_are_not() -> None:
    told = values(report_points(report(), ball=("linf", 8 / 255)))
    assert told["clean/f1_macro"] == 0.475
    assert told["robust/f1_macro"] == 0.225
    assert told["interval/clean_accuracy_low"] < 0.95 < told["interval/clean_accuracy_high"]
    assert not [key for key in told if "precision_macro" in key]


def test_findings_corruptions_and_transfer_are_told() -> None:
    points = report_points(report())
    told = values(points)
    assert (told["check/steps"], told["check/unbounded eps"]) == (0, 1)
    assert curve(points, "corruption/fog") == {1: 0.9, 2: 0.8, 3: 0.7, 4: 0.6, 5: 0.5}
    assert told["transfer/lenet5 to smallcnn"] == 0.7
    assert told["robust/median_smallest_linf"] == 0.1


def test_a_later_evaluation_draws_curves_of_its_own() -> None:
    first, second = (report_points(report(), suffix=suffix) for suffix in ("", "_2"))
    assert curve(second, "curve/worst_linf_2") == curve(first, "curve/worst_linf")
    assert not curve(second, "curve/worst_linf")


def test_no_metric_has_two_values_at_one_step() -> None:
    points = report_points(report())
    assert len({(point.key, point.step) for point in points}) == len(points)


def test_an_unbounded_ball_has_a_score_but_no_point_on_the_curve() -> None:
    points = report_points(replace(report(), threats=(threat("l2", math.inf, 0),)))
    assert values(points)["robust/l2_inf"] == 0
    assert curve(points, "curve/worst_l2") == {0: 0.95}


def test_words_of_the_report_become_tags() -> None:
    tags = report_tags(report())
    assert tags["verdict"] == "warn"
    assert tags["check.unbounded eps"] == "warn"
    assert "check.steps" not in tags, "only what is no pass"
    assert max(map(len, tags.values())) <= 20, "MLflow cuts long ones; sentences are for the description"
    assert report_tags(replace(report(), findings=()))["verdict"] == "unchecked"
    assert len(tag_texts({"long": "x" * 9000})["long"]) == 8000


@pytest.mark.parametrize(
    ("norm", "eps", "name", "step"),
    [
        ("linf", 8 / 255, "8", 8),
        ("linf", 0.3, "0.3", 76),
        ("linf", 0.2, "0.2", 51),
        ("linf", 0.3 / 255, "0.00117647", 1),
        ("linf", 0.0, "0", 0),
        ("l2", 0.5, "l2_0.5", 500),
        ("l1", 12.0, "l1_12", 12_000),
    ],
)
def test_labels_and_steps(norm: str, eps: float, name: str, step: int) -> None:
    assert (label(norm, eps), step_of(norm, eps)) == (name, step)


def test_a_check_that_had_nothing_to_test_has_no_figure_and_no_tag() -> None:
    idle = Finding(check="idle", verdict="not tested", figure=None, says="0 of 0 examples")
    shown = replace(report(), findings=(*report().findings, idle))
    assert "check/idle" not in values(report_points(shown))
    assert "check.idle" not in report_tags(shown)
    assert report_tags(replace(shown, findings=(idle,)))["verdict"] == "unchecked"
