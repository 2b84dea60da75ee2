"""The pictures of the page, subject by subject, with a word on how to read them."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Sequence

from robustcnn.report import plots
from robustcnn.report.entry import Entry, balls, say_ball, telling_ball
from robustcnn.report.markup import Markup, element, section


def pictures(entries: Sequence[Entry]) -> list[Markup]:
    """All sections for which there is something to draw."""
    return [
        *_curves(entries),
        *_one_each(
            entries,
            "Queries",
            "A model that can only be asked: robust accuracy after so many queries an example, and the median of the "
            "successes as a dot. What was spent on a smaller ball counts in the larger ones.",
            _asked,
        ),
        *_answers(entries),
        *_one_each(
            entries,
            "Training",
            "Validation loss that rises while training loss falls is overfitting.",
            lambda entry: plots.loss_curve(entry.history) if entry.history else None,
        ),
        *_one_each(
            entries,
            "What the attacks missed",
            "One example: the margin by which the model is wrong (above 0) or right, on the way to where the attack in "
            "question ended, and to where a rival of the checklist did; 1 is the image that each of them found.",
            _missed,
        ),
        *_one_each(
            entries,
            "Adversarial examples",
            "Beside each row its true class; blue answers are right, orange ones wrong. The change is amplified.",
            lambda entry: plots.gallery(entry.gallery) if entry.gallery else None,
        ),
        *_one_each(
            entries,
            "Common corruptions",
            "Accuracy under changes that no adversary chose, from severity 1 (slight) to 5.",
            lambda entry: (
                plots.corruptions(entry.report.corruptions) if entry.report and entry.report.corruptions else None
            ),
        ),
        *_transfer(entries),
    ]


def _asked(entry: Entry) -> plots.Figure | None:
    """Nothing where nobody counted."""
    costs = {
        f"{_word(score.attack)}, {say_ball((threat.norm, threat.eps))}": score.queries
        for threat in entry.threats
        for score in threat.attacks
        if score.queries is not None
    }
    return plots.query_curves(costs) if costs else None


def _word(attack: str) -> str:
    """`PGD` for PGD(steps=20), and foolbox's own name for one of its attacks."""
    kind, _, options = attack.partition("(")
    named = re.match(r"name='(\w+?)(Attack)?'", options)
    return named[1] if named else kind


def _missed(entry: Entry) -> plots.Figure | None:
    """The worst finding: nothing where no rival broke more."""
    known = [each.profile for each in entry.report.findings if each.profile] if entry.report else []
    if not known:
        return None
    ways = {
        "the attack": [(way, white) for way, white, _ in known[0]],
        "a rival": [(way, rival) for way, _, rival in known[0]],
    }
    return plots.lines(ways, across="share of the way", up="margin")


def _curves(entries: Sequence[Entry]) -> list[Markup]:
    reports = {entry.name: entry.report for entry in entries if entry.report}
    shown = []
    for norm in dict.fromkeys(norm for norm, _ in balls(entries)):
        having = {name: each for name, each in reports.items() if any(threat.norm == norm for threat in each.threats)}
        shown.append(_figure(plots.robustness_curves(having, norm), f"{norm}: accuracy"))
        smallest = {name: each for name, report in reports.items() for each in report.smallest if each.norm == norm}
        if smallest:
            shown.append(_figure(plots.smallest_eps(smallest), f"{norm}: smallest eps that breaks an example"))
        for name, report in reports.items():
            far = [each for each in report.two_sided if each.norm == norm]
            shown += [
                _figure(plots.two_sided_radii(each), f"{norm}: both sides of what is open, {name}") for each in far
            ]
    says = (
        "Accuracy in the worst case at each eps, with its 95 % band; the ring at 0 is the clean accuracy. Beside it: "
        "the share of examples that an eps breaks, clean mistakes included; diamonds are medians. Where "
        "bounds were asked for: dotted, what is proven, and hatched, what nobody knows."
    )
    return section("Robustness curves", says, *_grid(shown))


def _answers(entries: Sequence[Entry]) -> list[Markup]:
    """What the model answers, clean and in the worst case of the one ball that tells most."""
    sides = []
    for entry in entries:
        score = entry.at(telling_ball(entries)) or entry.at(telling_ball([entry]))
        if entry.report and score:
            caption = f"{entry.name}, attacked with {say_ball((score.norm, score.eps))}"
            sides.append((caption, entry.report.clean, score.worst))

    ranking = [
        _figure(draw(clean, attacked), f"{what}: {caption}")
        for caption, clean, attacked in sides
        for what, draw in (("ROC", plots.roc_curves), ("reliability", plots.reliability))
    ]
    return [
        *section(
            "Confusion",
            "Which class is taken for which: true classes in rows, shaded by their share of the row.",
            *_grid([_figure(plots.confusion(*both), caption, wide=True) for caption, *both in sides]),
        ),
        *section(
            "Ranking and confidence",
            "ROC: how well each class is told from the rest; thick lines are means over the classes. Reliability: dots "
            "below the diagonal are more confident than right; the larger a dot, the more answers.",
            *_grid(ranking),
        ),
        *section(
            "Class by class",
            "Robust accuracy of each class with its 95 % interval.",
            *_grid([_figure(plots.per_class(*both), caption) for caption, *both in sides]),
        ),
    ]


def _one_each(
    entries: Sequence[Entry], title: str, says: str, draw: Callable[[Entry], plots.Figure | None]
) -> list[Markup]:
    drawn = [(entry.name, draw(entry)) for entry in entries]
    return section(title, says, *_grid([_figure(figure, name) for name, figure in drawn if figure is not None]))


def _transfer(entries: Sequence[Entry]) -> list[Markup]:
    scores = list(dict.fromkeys(score for entry in entries if entry.report for score in entry.report.transfer))
    says = (
        "Examples made on one model and judged on another, among those that the other gets right without an attack. "
        "A model that others' examples break more often than its own was attacked too weakly."
    )
    return section("Transfer", says, *_grid([_figure(plots.transfer(scores), "all models")] if scores else []))


def _grid(figures: Sequence[Markup]) -> list[Markup]:
    return [element("div", *figures, class_="grid")] if figures else []


def _figure(figure: plots.Figure, caption: str, *, wide: bool = False) -> Markup:
    uri = f"data:image/png;base64,{b64encode(plots.png(figure)).decode()}"
    width, height = (str(round(96 * inches)) for inches in figure.get_size_inches())
    picture = element("img", src=uri, alt=caption, width=width, height=height)
    return element(
        "figure",
        element("figcaption", caption),
        element("div", picture, class_="picture", tabindex="0") if wide else picture,
        class_="wide" if wide else "",
    )
