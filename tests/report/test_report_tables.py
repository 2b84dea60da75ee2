from __future__ import annotations

import csv
import io
from dataclasses import replace

import pytest
from report_examples import ATTACKS, EPS, SCORES, make_entries, make_report

from robustcnn.core.audited import Audited
from robustcnn.core.results import RobustnessReport, Share
from robustcnn.report.entry import Entry, balls, headline, say_ball, telling_ball
from robustcnn.report.table import Cell, Table
from robustcnn.report.tables import by_attack, comparison, findings

REPORT = make_report("m", strength=1.0)


def row(table: Table, label: str) -> tuple[Cell, ...]:
    (cells,) = [cells for labels, cells in table.rows if labels[0] == label]
    return cells


def only(report: RobustnessReport, *radii: float) -> RobustnessReport:
    threats = tuple(each for each in report.threats if each.norm == "linf" and each.eps in radii)
    return replace(report, threats=threats, smallest=report.smallest[:1])


def test_text_columns_line_up() -> None:
    table = Table(
        labels=("name",),
        across="what",
        columns=("number", "word"),
        rows=((("a",), (Cell(text="1", value=1.0), Cell(text="x"))), (("long",), (Cell(text="–"), Cell(text="yy")))),
    )
    assert table.text() == (
        "name  number  word\n"
        "----  ------  ----\n"
        "a          1  x\n"
        "long       –  yy"
    )  # fmt: skip


def test_markdown_keeps_its_columns_whatever_a_name_holds() -> None:
    table = Table(labels=("a|b",), across="", columns=("c",), rows=((("d\\",), (Cell(text="1", value=1.0),)),))
    assert table.markdown() == "| a\\|b | c |\n| --- | --: |\n| d\\\\ | 1 |"


def test_csv_holds_the_unrounded_number_and_its_interval() -> None:
    entries = make_entries()
    lines = csv.DictReader(io.StringIO(comparison(entries).csv()))
    (line,) = [
        each for each in lines if each["measure"] == "robust accuracy, linf 8/255" and each["model"] == entries[1].name
    ]
    share = entries[1].threats[3].robust
    assert [float(line[key]) for key in ("value", "low", "high")] == [share.value, share.low, share.high]
    assert line["text"] == str(share)


def test_every_eps_of_every_norm_has_its_row_in_order() -> None:
    labels = [labels[0] for labels, _ in comparison(make_entries()).rows if labels[0].startswith("robust")]
    assert labels == [
        *(f"robust accuracy, linf {level}/255" for level in (1, 2, 4, 8, 12, 16)),
        *(f"robust accuracy, l2 {eps:g}" for eps in EPS["l2"]),
    ]


def test_what_was_not_measured_is_no_number() -> None:
    first, second = only(REPORT, 4 / 255), only(REPORT, 8 / 255)
    table = comparison([Entry(name="a", report=first), Entry(name="b", report=second)])
    assert [cell.text for cell in row(table, "robust accuracy, linf 8/255")] == ["–", str(second.threats[0].robust)]
    assert row(table, "robust accuracy, linf 8/255")[0].value is None


def test_an_undefined_figure_says_so() -> None:
    report = replace(REPORT, clean=replace(REPORT.clean, auc=None, accuracy=Share.of(0, 0)))
    table = comparison([Entry(name="m", report=report)])
    assert row(table, "AUC, clean") == (Cell(text="undefined"),)
    assert row(table, "clean accuracy")[0].text == "undefined"


def test_a_model_that_was_only_trained_has_its_test_accuracy_with_an_interval() -> None:
    table = comparison([Entry(name="m", scores=SCORES)])
    assert [labels[0] for labels, _ in table.rows] == ["test examples", "clean accuracy"]
    share = Share.of(913, 1000)
    assert row(table, "clean accuracy") == (Cell(text=str(share), value=share.value, low=share.low, high=share.high),)


@pytest.mark.parametrize(
    ("median", "cell"),
    [
        (3 / 255, Cell(text="3/255", value=3 / 255)),
        (0.0123, Cell(text="0.0123", value=0.0123)),
        (0.01 / 3, Cell(text="0.85/255", value=0.01 / 3)),
        (None, Cell(text="> 16/255", low=16 / 255)),
    ],
)
def test_the_median_is_beyond_the_largest_eps_when_half_of_the_examples_stand(median: float | None, cell: Cell) -> None:
    report = replace(REPORT, smallest=(replace(REPORT.smallest[0], median=median),))
    assert row(comparison([Entry(name="m", report=report)]), "median smallest eps, linf") == (cell,)


def test_seconds_are_those_of_all_attacks() -> None:
    cell = row(comparison([Entry(name="m", report=REPORT)]), "seconds to attack")[0]
    assert cell.value == pytest.approx(12 * (3.2 + 12.2))


def test_each_attack_in_each_ball_has_a_row() -> None:
    table = by_attack([Entry(name="m", report=REPORT)])
    assert len(table.rows) == 2 * 6 * len(ATTACKS)
    labels, cells = table.rows[0]
    assert labels == ("m", "linf 1/255", ATTACKS[0])
    texts = dict(zip(table.columns, (cell.text for cell in cells), strict=True))
    assert texts["accuracy"] == str(REPORT.threats[0].attacks[0].metrics.accuracy)
    assert texts["still fooled as bytes"] == str(Share.of(88, 100))
    assert (texts["median linf"], texts["median l1"], texts["median l2"]) == ("0.97/255", "0.0784", "–")


def test_the_worst_finding_comes_first() -> None:
    table = findings(Entry(name="m", report=REPORT))
    assert [cells[0].text for _, cells in table.rows] == ["fail", "warn", "pass", "pass"]
    assert [cells[1].text for _, cells in table.rows] == ["0.12", "0.021", "0", "–"]


def test_the_telling_ball_leaves_about_half_standing() -> None:
    kept = {8 / 255: 160, 4 / 255: 290, 12 / 255: 3}
    threats = tuple(replace(each, robust=Share.of(kept[each.eps], 300)) for each in only(REPORT, *kept).threats)
    assert telling_ball([Entry(name="m", report=replace(REPORT, threats=threats))]) == ("linf", 8 / 255)


def test_the_telling_ball_is_one_that_all_were_attacked_in() -> None:
    entries = [Entry(name="a", report=only(REPORT, 4 / 255, 16 / 255)), Entry(name="b", report=only(REPORT, 16 / 255))]
    assert telling_ball(entries) == ("linf", 16 / 255)
    assert telling_ball([Entry(name="c")]) is None


def test_balls_are_grouped_by_norm_with_eps_growing() -> None:
    report = replace(REPORT, threats=tuple(reversed(REPORT.threats)))
    assert [say_ball(ball) for ball in balls([Entry(name="m", report=report)])][5:8] == [
        "l2 2",
        "linf 1/255",
        "linf 2/255",
    ]


AUDIT = Audited(
    count=1000, stood=533, drawn=500, broken=2, value=0.531, low=0.523, high=0.537, new_low=0.49, new_high=0.57
)


def test_an_audited_figure_takes_the_place_of_the_cheap_one_and_says_so() -> None:
    report = make_report("a")
    first, second, *others = report.threats
    told = replace(report, threats=(replace(first, audit=AUDIT), replace(second, escalated="a sentinel"), *others))
    table = comparison([Entry(name="a", report=told)])
    audited, escalated = (
        next(
            cells[0]
            for labels, cells in table.rows
            if labels == (f"robust accuracy, {say_ball((each.norm, each.eps))}",)
        )
        for each in (first, second)
    )
    assert audited.text == "53.1 % [52.3, 53.7] (audited: AutoAttack broke 2 of 500 that stood)"
    assert (audited.value, audited.low, audited.high) == (0.531, 0.523, 0.537)
    assert escalated.text == f"{second.robust} (AutoAttack took over)"


def test_the_usual_ball_is_shown_first_and_the_others_after_it_as_they_grow() -> None:
    report = replace(only(REPORT, 4 / 255, 8 / 255, 16 / 255), headline=("linf", 8 / 255))
    rows = [label for (label,), _ in comparison([Entry(name="m", report=report)]).rows if "robust accuracy" in label]
    assert rows == [f"robust accuracy, linf {each}/255" for each in (8, 4, 16)]


def test_a_headline_in_which_not_all_were_attacked_gives_way() -> None:
    one = replace(only(REPORT, 4 / 255, 8 / 255), headline=("linf", 8 / 255))
    entries = [Entry(name="a", report=one), Entry(name="b", report=only(REPORT, 4 / 255))]
    assert headline(entries[:1]) == ("linf", 8 / 255)
    assert headline(entries) is None
