from __future__ import annotations

import base64
import io
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image
from report_examples import FINDINGS, SCORES, make_history, make_report

from robustcnn.core.results import Finding
from robustcnn.report.entry import Entry
from robustcnn.report.html import page
from robustcnn.report.markup import Markup, element
from robustcnn.report.pictures import _word


class Outline(HTMLParser):
    """Tags in order, which ones were left open, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []
        self.mismatched: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attributes
        if tag not in ("img", "meta"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self.open.pop() != tag:
            self.mismatched.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_every_tag_is_closed_where_it_was_opened(page_text: str) -> None:
    outline = Outline(page_text)
    assert outline.open == outline.mismatched == []


def test_the_verdict_comes_first_and_the_method_last(page_text: str) -> None:
    assert re.findall("<h2>(.*?)</h2>", page_text) == [
        "Can these numbers be trusted?",
        "The numbers",
        "Robustness curves",
        "Confusion",
        "Ranking and confidence",
        "Class by class",
        "Training",
        "Adversarial examples",
        "Common corruptions",
        "Transfer",
        "How this was measured",
    ]


def test_the_page_forbids_itself_to_run_fetch_or_send_anything(page_text: str) -> None:
    head = page_text.partition("</head>")[0]
    policy = head.partition('http-equiv="Content-Security-Policy" content="')[2].partition('"')[0]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert "script-src" not in rules
    assert head.index("Content-Security-Policy") < head.index("<style>"), "a policy holds from where it stands"


def test_the_page_needs_no_network_and_no_script(page_text: str) -> None:
    outline = Outline(page_text)
    assert not {"script", "link", "iframe"} & set(outline.tags)
    sources = [value or "" for name, value in outline.attributes if name == "src"]
    assert len(sources) > 10
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert not any(name == "href" or name.startswith("on") for name, _ in outline.attributes)
    assert "http" not in re.sub("base64,[A-Za-z0-9+/=]+|http-equiv", "", page_text)
    assert "url(" not in page_text


def test_pictures_are_whole_and_described(page_text: str) -> None:
    attributes = Outline(page_text).attributes
    pictures = [base64.b64decode(value.partition(",")[2]) for name, value in attributes if name == "src" and value]
    assert all(min(Image.open(io.BytesIO(picture)).size) > 200 for picture in pictures)
    assert len([value for name, value in attributes if name == "alt" and value]) == len(pictures)


def test_a_demo_of_few_models_is_a_small_file(page_file: Path) -> None:
    assert 200_000 < page_file.stat().st_size < 1_500_000


def test_text_that_looks_like_markup_stays_text() -> None:
    bad = "<script>alert(1)</script>\"'&"
    finding = Finding(check=bad, verdict="fail", figure=None, says=bad)
    report = replace(
        make_report(bad, findings=(finding,)), data=bad, made_by={bad: bad}, threats=(), smallest=(), corruptions=()
    )
    outline = Outline(page([Entry(name=bad, report=report, config=(bad,))], title=bad))
    assert "script" not in outline.tags
    # Title twice; name in card, findings, head of the numbers and origin; check in card, and twice in its table,
    # sentence; model, data and made_by (both sides); config.
    assert outline.text.count(bad) == 2 + 4 + 4 + 4 + 1


def test_what_the_attacks_missed_is_drawn_where_something_was() -> None:
    missed = Finding(check="c", verdict="fail", figure=3.0, says="s", profile=((0.0, -2.0, -2.0), (1.0, -1.0, 1.0)))
    for findings, shown in (((missed,), 1), ((), 0)):
        report = replace(make_report("m", findings=findings), threats=(), smallest=(), corruptions=())
        assert page([Entry(name="m", report=report)]).count("<h2>What the attacks missed</h2>") == shown


def test_a_hostile_class_name_and_title_are_harmless_on_the_whole_page(page_text: str) -> None:
    outline = Outline(page_text)
    assert "script" not in outline.tags
    assert outline.text.count("A <title> & more") == 2


@pytest.mark.parametrize(
    ("findings", "badge", "sentence"),
    [
        (FINDINGS, "✗ fail", "1 of 4 checks failed: black box beats gradients. Do not rely on the robust accuracy"),
        (FINDINGS[:2], "! warn", "1 of 2 checks ask for care: more steps."),
        (FINDINGS[:1], "✓ pass", "Nothing speaks against these figures: 1 of 1 checks pass."),
        ((), "not checked", "The evaluation itself was not checked: its robust accuracy may be too high."),
    ],
)
def test_the_badge_says_the_worst_finding(findings: tuple[Finding, ...], badge: str, sentence: str) -> None:
    report = replace(make_report("m", findings=findings), threats=(), smallest=(), corruptions=())
    card = re.findall("<article.*?</article>", page([Entry(name="m", report=report)]))
    assert len(card) == 1
    assert badge in card[0]
    assert sentence in card[0]


def test_a_model_that_was_only_trained_shows_its_history_and_test_scores() -> None:
    text = page([Entry(name="only trained", history=make_history(3), scores=SCORES)])
    assert "not attacked" in text
    assert "91.3 % [89.4, 92.9]" in text
    assert re.findall("<h2>(.*?)</h2>", text) == [
        "Can these numbers be trusted?",
        "The numbers",
        "Training",
    ]


def test_a_model_may_be_called_like_a_verdict_and_be_known_by_name_only() -> None:
    text = page([Entry(name="fail")])
    assert "not attacked" in text
    assert "✗" not in text


def test_how_it_was_measured_tells_what_one_needs_to_measure_it_again(page_text: str) -> None:
    origin = page_text.partition("How this was measured")[2]
    for fact in ("0123456789abcdef", "fashion-mnist", "2.14.1", "<dt>seed</dt><dd>7</dd>", "fit.epochs = 12"):
        assert fact in origin


@pytest.mark.parametrize("names", [[], ["same", "same"]])
def test_entries_are_told_apart_by_name(names: list[str], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"entries must be at least one, each with a name of its own, got \["):
        page([Entry(name=name) for name in names])


def test_an_element_escapes_text_and_attributes_but_not_elements() -> None:
    inner = element("b", "<&>")
    assert inner == "<b>&lt;&amp;&gt;</b>"
    assert element("p", inner, class_='a"b') == '<p class="a&quot;b"><b>&lt;&amp;&gt;</b></p>'
    assert element("img", alt="x") == '<img alt="x">'
    assert isinstance(inner, Markup)


def test_tables_and_the_page_load_no_drawing_library_before_they_draw() -> None:
    code = (
        "import sys, robustcnn.report.html, robustcnn.report.tables;"
        "print({'matplotlib', 'seaborn', 'pandas'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "set()\n", done.stderr


@pytest.mark.parametrize(
    ("attack", "word"),
    [("PGD(steps=20)", "PGD"), ("Foolbox(name='HopSkipJumpAttack', options={'steps': 4})", "HopSkipJump")],
)
def test_an_attack_is_called_by_its_own_name(attack: str, word: str) -> None:
    assert _word(attack) == word
