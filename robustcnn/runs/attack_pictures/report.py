"""What an attack on a picture did, as an equation, a table and a record."""

from __future__ import annotations

import json
import math

from torch import Tensor

from robustcnn.core.norms import NORMS, fraction
from robustcnn.core.plain_data import to_plain
from robustcnn.evaluate import attack_named
from robustcnn.evaluate.one_picture import Game
from robustcnn.report import plots
from robustcnn.report.table import Cell, Table
from robustcnn.runs.attack_pictures.attack_config import Attacked, AttackVerb
from robustcnn.runs.attack_pictures.stand_in import NAME
from robustcnn.runs.attack_pictures.subject import Subject
from robustcnn.runs.folder import provenance

SIGNED = ("FGSM()", "FGSM(loss='ce')")


def as_equation(done: Attacked, game: Game, adversarial: Tensor, config: AttackVerb) -> plots.Equation:
    attempt = done.attempts[done.shown]
    return plots.Equation(
        clean=game.image[0].cpu(),
        adversarial=adversarial[0].cpu(),
        before=done.clean,
        after=attempt.answers,
        factor=NORMS[config.norm].say(attempt.eps),
        change=_change(config),
        survives=attempt.survives,
        says=f"{_who(config)}, {config.attack}, {config.norm}, {_unit(config)}",
    )


def _who(config: AttackVerb) -> str:
    return "stand-in: a small CNN trained on drawn road signs" if config.model == NAME else config.model


def _change(config: AttackVerb) -> str:
    plain = (
        NORMS[config.norm].order == math.inf and repr(attack_named(config.attack)) in SIGNED and config.target is None
    )
    return "sign(gradient)" if plain else f"{config.attack.partition('(')[0]}'s change"


def _unit(config: AttackVerb) -> str:
    return "eps in pixels [0, 1]" if config.eps_range == "pixels" else "eps in the model's input range"


def opening(seen: Subject, config: AttackVerb) -> str:
    channels, height, width = seen.shape
    where = "pixels, from 0 to 1" if config.eps_range == "pixels" else f"the model's own input range, {seen.range}"
    return (
        f"{seen.name}: {len(seen.classes):,} classes, pictures of {channels} x {height} x {width}; "
        f"{attack_named(config.attack)!r} in {config.norm}, eps counts in {where}"
    )


def told(done: Attacked, config: AttackVerb) -> str:
    """The equation, a row an eps, and where the files are."""
    attempt = done.attempts[done.shown]
    eps = fraction(attempt.eps)
    how = "as told" if done.label_given else "which is the model's own answer"
    lines = [
        "",
        f"{done.picture}: {done.clean[0]} + {eps} x {_change(config)} = {attempt.answers[0]}",
        f"  attacked: {done.label.name}, {how}",
    ]
    if done.clean[0].index != done.label.index:
        lines.append(f"  before any attack the model says {done.clean[0].name}: there is nothing to break")
    lines += [f"  {line}" for line in _table(done, config).text().splitlines()]
    if config.smallest:
        lines.append(f"  {_smallest(done, config)}")
    return "\n".join([*lines, f"  figure: {done.figure}"])


def _table(done: Attacked, config: AttackVerb) -> Table:
    rows = []
    for attempt in done.attempts:
        kept = [Cell(text="yes" if each else "no") for each in attempt.survives.values()]
        top, reached = attempt.answers[0], Cell(text="yes" if attempt.reached else "no")
        size = Cell(text=_in_pixels(attempt.eps * done.pixel_unit, config), value=attempt.eps)
        share = Cell(text=f"{100 * top.confidence:.1f} %", value=top.confidence)
        rows.append(((fraction(attempt.eps),), (size, Cell(text=top.name), share, reached, *kept)))
    saved = tuple(f"as {name}" for name in done.attempts[0].survives)
    heads = ("in pixels", "answer", "confidence", "reached", *saved)
    return Table(labels=("eps",), across="outcome", columns=heads, rows=tuple(rows))


def _smallest(done: Attacked, config: AttackVerb) -> str:
    if done.smallest is None:
        return f"smallest eps: none up to {config.widest.eps:.3g} does it"
    return f"smallest eps: {done.smallest:.3g}, that is {_in_pixels(done.smallest * done.pixel_unit, config)} in pixels"


def _in_pixels(eps: float, config: AttackVerb) -> str:
    return f"{255 * eps:.2f}/255" if NORMS[config.norm].grey_levels else f"{eps:.3g}"


def record(done: Attacked, seen: Subject, config: AttackVerb) -> str:
    plain = to_plain(done) | {"options": to_plain(config), "model_range": seen.range, "made_by": provenance()}
    return json.dumps(plain, indent=1)
