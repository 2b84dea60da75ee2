"""One self-contained page: the verdict first, the figures, the pictures, and how it all was measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from robustcnn.core.importing import importing
from robustcnn.core.results import VERDICTS, passed
from robustcnn.report.entry import Entry, headline, say_ball, say_robust, telling_ball
from robustcnn.report.markup import Markup, element, section
from robustcnn.report.table import Table
from robustcnn.report.tables import by_attack, comparison, findings, proofs

POLICY = (
    '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
    "style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\">"
)
"""The page holds all that it shows: nothing in it may run, be fetched or be sent."""
STYLE_SHEET = Path(__file__).with_name("page.css")


def page(entries: Sequence[Entry], *, title: str = "Robustness report") -> str:
    """The page for one model or several side by side, as text."""
    names = [entry.name for entry in entries]
    if not entries or len(set(names)) < len(names):
        raise ValueError(f"entries must be at least one, each with a name of its own, got {names}")
    # Here, because it takes a second or two to load what draws.
    with importing():
        from robustcnn.report.pictures import pictures

    head = element(
        "head",
        element("meta", charset="utf-8"),
        Markup(POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        element("style", Markup(STYLE_SHEET.read_text())),
    )
    main = element(
        "main",
        element("h1", title),
        *_verdicts(entries),
        *_numbers(entries),
        *pictures(entries),
        *_method(entries),
    )
    return "<!doctype html>\n" + element("html", head, element("body", main), lang="en") + "\n"


def table(value: Table, *, kind: str = "") -> Markup:
    """A table that scrolls in a box of its own when the page is narrow."""
    head, *rows = value.lines
    columns = ["number" if numeric else "words" for numeric in value.numeric]
    labels = len(value.labels)

    def row(fields: Sequence[str], heads: int) -> Markup:
        return element(
            "tr",
            *(
                element(
                    "th" if i < heads else "td",
                    _badge(field) if i >= heads and field in (*VERDICTS, "not tested") else field,
                    class_=column,
                )
                for i, (field, column) in enumerate(zip(fields, columns, strict=True))
            ),
        )

    body = element("tbody", *(row(fields, labels) for fields in rows))
    # Focusable, so that it can be scrolled by keyboard too.
    return element(
        "div",
        element("table", element("thead", row(head, len(head))), body, class_=kind),
        class_="scroll",
        tabindex="0",
    )


def _badge(verdict: str) -> Markup:
    sign = {"pass": "✓ ", "warn": "! ", "fail": "✗ "}.get(verdict, "")
    return element("span", sign + verdict, class_=f"badge {verdict if sign else 'none'}")


def _verdicts(entries: Sequence[Entry]) -> list[Markup]:
    says = (
        "The verdict is on the measurement, not on the model: a weak model that was measured well passes, and one that "
        "looks strong because the attacks did not work fails."
    )
    cards = element("div", *(_card(entry, entries) for entry in entries), class_="cards")
    checked = [_checks(entry) for entry in entries if entry.report and entry.report.findings]
    return section("Can these numbers be trusted?", says, cards, *checked)


def _checks(entry: Entry) -> Markup:
    """All findings; folded up when there is nothing to worry about."""
    unfolded = {} if entry.report and entry.report.verdict == "pass" else {"open": ""}
    return element("details", element("summary", entry.name), table(findings(entry), kind="findings"), **unfolded)


def _card(entry: Entry, entries: Sequence[Entry]) -> Markup:
    verdict, says = _sentence(entry)
    figures = {"clean accuracy": str(entry.accuracy or "")}
    if score := entry.at(headline(entries) or telling_ball(entries)):
        figures[f"robust accuracy, {say_ball((score.norm, score.eps))}"] = say_robust(score)
    return element(
        "article",
        _badge(verdict),
        element("h3", entry.name),
        element("p", says),
        *(element("p", name, " ", element("strong", text)) for name, text in figures.items() if text),
        class_="card",
    )


def _sentence(entry: Entry) -> tuple[str, str]:
    """A word for the badge, and what it means."""
    if entry.report is None:
        return "not attacked", "Nothing is known about its robustness."
    found, verdict = entry.report.findings, entry.report.verdict
    if verdict is None:
        return "not checked", "The evaluation itself was not checked: its robust accuracy may be too high."
    bad = [each.check for each in found if each.verdict == verdict]
    if verdict == "pass":
        return verdict, f"Nothing speaks against these figures: {passed(found)}."
    share = f"{len(bad)} of {sum(each.tested for each in found)} checks"
    if verdict == "warn":
        return verdict, f"{share} ask for care: {', '.join(bad)}."
    return verdict, f"{share} failed: {', '.join(bad)}. Do not rely on the robust accuracy before this is explained."


def _numbers(entries: Sequence[Entry]) -> list[Markup]:
    alone = by_attack(entries)
    detail = element("details", element("summary", "Each attack by itself"), table(alone))
    says = "In brackets: 95 % intervals over the test examples. Robust accuracy is the worst case over all attacks."
    both = [_both_sides(entry) for entry in entries if entry.report and entry.report.proofs]
    return section("The numbers", says, table(comparison(entries)), *([detail] if alone.rows else []), *both)


def _both_sides(entry: Entry) -> Markup:
    """What no attack can break beside what one did, ball by ball."""
    found = entry.report.proofs if entry.report else ()
    lines = [element("p", f"{say_ball((each.norm, each.eps))}: {each.says}") for each in found]
    lines += [element("p", says) for says in dict.fromkeys(each.votes.says for each in found if each.votes)]
    title = f"{entry.name}: what no attack can break, and class by class"
    return element("details", element("summary", title), *lines, table(proofs(entry)), open="")


METHOD = (
    "Robust accuracy is the worst case of each example: it counts only where the model is right and no attack of the "
    "list breaks it. It is never an average over attacks.",
    "What an attack returns is not taken on trust: it is projected back into the ball and the pixel range, and scored "
    "again in float32 by the model itself, in evaluation mode.",
    "What is proven holds for every change in the ball, tried or not, rounding errors of the model included. Proven "
    "examples are spared the attacks, but for an audit; the others are broken or undecided. Certificates by smoothing "
    "hold each with a stated probability, for the majority over all noise: such examples are attacked like all others.",
    "A mistake on the clean example counts as not robust, at every eps.",
    "A robustness curve cannot rise: each eps attacks only the examples that still stood at the one before it.",
    "An audited figure is what AutoAttack would say of all examples, estimated without bias: cheap attacks tried all, "
    "AutoAttack a random part of what they left; the interval is exact, for these examples. Where AutoAttack took "
    "over, a cheap suite was doubted, and AutoAttack attacked all that stood.",
    "Other intervals are 95 % Wilson intervals over the examples. They do not tell how another training of the same "
    "model would do.",
)


def _method(entries: Sequence[Entry]) -> list[Markup]:
    rules = [element("ul", *(element("li", sentence) for sentence in METHOD))]
    origins = [origin for entry in entries if (origin := _origin(entry))]
    return section("How this was measured", "", *(rules if any(entry.report for entry in entries) else []), *origins)


def _origin(entry: Entry) -> Markup:
    facts: dict[str, str] = {}
    if report := entry.report:
        facts = {"model": report.model, "data": report.data, "examples": f"{report.count:,}"}
        facts |= {"fingerprint": report.fingerprint} | report.made_by
    listed = [part for name, value in facts.items() for part in (element("dt", name), element("dd", value))]
    config = [element("pre", "\n".join(entry.config), tabindex="0")] if entry.config else []
    known = [*([element("dl", *listed)] if listed else []), *config]
    return element("details", element("summary", entry.name), *known, open="") if known else Markup()
