"""The verb `attack`: pictures named on the command line, or the demonstration."""

from __future__ import annotations

from pathlib import Path

from robustcnn.cli.options import Problem, parse
from robustcnn.runs.attack_pictures import DEMO, AttackVerb, attack_pictures
from robustcnn.runs.folder import Say

TEXT = """Adversarial versions of pictures: panda + 0.007 x sign(gradient) = gibbon, as a figure and as files.

usage: robustcnn attack IMAGE... [OPTIONS]
       robustcnn attack --demo [OPTIONS]: without any file, a stop sign against a small CNN that is trained first"""


def attack_verb(names: list[str], options: list[str], *, say: Say) -> None:
    """`robustcnn attack`."""
    default = DEMO if "--demo" in options else AttackVerb()
    rest = [word for word in options if word != "--demo"]
    config = parse(AttackVerb, rest, verb="attack", text=TEXT, default=default)
    if not names and default is not DEMO:
        raise Problem("attack wants the files of pictures before the options, got none (attack --demo needs none)")
    attack_pictures([Path(name) for name in names], config, say=say)
