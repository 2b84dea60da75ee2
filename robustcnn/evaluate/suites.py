"""Sets of attacks with a name, and single attacks by theirs."""

from __future__ import annotations

import ast
import re
from typing import Any, Literal, cast, get_args

from robustcnn import attacks
from robustcnn.attacks import FGSM, PGD, Attack, AutoAttack, CornerNoise, Foolbox, Square, Swift, UniformNoise
from robustcnn.core.norms import NORMS, NormName
from robustcnn.core.plain_data import did_you_mean, from_plain, number
from robustcnn.core.plugins import load_plugins

SuiteName = Literal["quick", "swift", "standard", "full"]
QUICK: tuple[Attack, ...] = (FGSM(), PGD(steps=20))
SWIFT: tuple[Attack, ...] = (Swift(),)
STANDARD: tuple[Attack, ...] = (AutoAttack(),)
SUITES: dict[SuiteName, tuple[Attack, ...]] = {"quick": QUICK, "swift": SWIFT, "standard": STANDARD}
"""Those that are the same in every norm."""
CONTROL: tuple[Attack, ...] = (UniformNoise(draws=10), CornerNoise(draws=10))
"""Noise: what it breaks first, the others should have."""
FOOLBOX: dict[NormName, dict[str, dict[str, Any]]] = {
    "linf": {
        # Its own step size is too small for the 40 steps that it takes.
        "LinfAdamProjectedGradientDescentAttack": {"rel_stepsize": 0.1},
        "LinfDeepFoolAttack": {},
        "LInfFMNAttack": {},
    },
    "l2": {
        "L2DeepFoolAttack": {},
        "DDNAttack": {},
        "L2CarliniWagnerAttack": {"binary_search_steps": 5, "steps": 200, "stepsize": 0.05},
    },
    "l1": {
        "SparseL1DescentAttack": {"steps": 40},
        "L1FMNAttack": {},
        "EADAttack": {"binary_search_steps": 5, "steps": 200, "initial_stepsize": 0.05},
    },
}
"""Other people's attacks, of kinds that the standard suite has not."""
KINDS = (
    "FGSM RFGSM BIM MIFGSM PGD APGD AutoAttack Square FAB DeepFool DDN FMN CarliniWagner UniformNoise GaussianNoise "
    "CornerNoise Universal Swift StagedPGD NearestTargets"
)
ATTACKS: dict[str, type] = {name.lower(): getattr(attacks, name) for name in KINDS.split()}
ATTACKS |= {"cw": ATTACKS["carliniwagner"], "noise": UniformNoise}
BOUNDARY_STEPS = 5000
"""Of the walk along the boundary that the full suite adds in l2; each asks once or twice."""
SQUARE_NORMS = ("linf", "l2")
"""For which windows are known."""
EXAMPLE = "write for example pgd(steps=100, step_size=2/255)"


def suite(name: SuiteName | str, norm: NormName) -> tuple[Attack, ...]:
    """quick: seconds; swift: strong, doubtful of itself; standard: what others report; full: breadth, and noise."""
    if name not in get_args(SuiteName):
        raise ValueError(f"unknown suite {name!r}{did_you_mean(name, get_args(SuiteName))}")
    if norm not in NORMS:
        raise ValueError(f"unknown norm {norm!r}{did_you_mean(norm, NORMS)}")
    if name in SUITES:
        return SUITES[name]
    breadth = (Foolbox(name=each, options=options) for each, options in FOOLBOX.get(norm, {}).items())
    return (*QUICK, *STANDARD, *breadth, *CONTROL)


def register(name: str, attack: type) -> None:
    """Make an attack of your own, a frozen dataclass that is called as ours are, known to `--attacks` by a name."""
    if not re.fullmatch(r"\w+", name) or (name.lower() in ATTACKS and ATTACKS[name.lower()] is not attack):
        raise ValueError(f"name must be new, of letters, digits and underscores, got {name!r}")
    ATTACKS[name.lower()] = attack


def asking_suite(name: SuiteName | str, norm: NormName, *, labels_only: bool) -> tuple[Attack, ...]:
    """The same for a victim that can only be asked: noise, then random search on the scores or along the boundary."""
    if name not in get_args(SuiteName):
        raise ValueError(f"unknown suite {name!r}{did_you_mean(name, get_args(SuiteName))}")
    quick = name == "quick"
    noise = CornerNoise(draws=10)
    if not labels_only:
        return (noise, Square(queries=500 if quick else 5000)) if norm in SQUARE_NORMS else (CornerNoise(draws=100),)
    if norm == "l1":
        return (CornerNoise(draws=100),)
    options = {"constraint": norm, "steps": 10 if quick else 40}
    walk = Foolbox(name="HopSkipJumpAttack", options=options)
    # foolbox's other walk measures l2 only, and takes ten times as many questions.
    other = Foolbox(name="BoundaryAttack", options={"steps": BOUNDARY_STEPS})
    return (noise, walk, other) if name == "full" and norm == "l2" else (noise, walk)


def attack_named(text: str) -> Attack:
    """`pgd`, `pgd(steps=100, step_size=2/255)`, `foolbox:LinfPGD(steps=5)`; the repr of our own attacks is read too."""
    found = re.fullmatch(r"\s*([\w:]+)\s*(?:\((.*)\))?\s*", text, re.DOTALL)
    if found is None:
        raise ValueError(f"cannot read attack {text!r} ({EXAMPLE})")
    name, options = found[1], _options(found[2] or "", text)
    if name.lower().startswith("foolbox:"):
        return Foolbox(name=name.partition(":")[2], options=options)
    if name.lower() not in ATTACKS:
        load_plugins("attacks")
    if name.lower() not in ATTACKS:
        raise ValueError(f"unknown attack {name!r}{did_you_mean(name.lower(), [*ATTACKS, 'foolbox:NAME'])}")
    return cast(Attack, from_plain(ATTACKS[name.lower()], options, where=name))


def _options(inside: str, text: str) -> dict[str, Any]:
    try:
        call = ast.parse(f"f({inside}\n)", mode="eval").body
    except SyntaxError as problem:
        raise ValueError(f"cannot read attack {text!r}: {problem.msg} ({EXAMPLE})") from None
    if not isinstance(call, ast.Call) or call.args or any(each.arg is None for each in call.keywords):
        raise ValueError(f"cannot read attack {text!r}: options are written name=value ({EXAMPLE})")
    options = {str(each.arg): _value(each.value, text) for each in call.keywords}
    if len(options) < len(call.keywords):
        raise ValueError(f"cannot read attack {text!r}: an option is given twice ({EXAMPLE})")
    return options


def _value(node: ast.expr, text: str) -> Any:
    """A literal, a fraction, or a bare word."""
    if isinstance(node, ast.Name):
        return node.id
    try:
        return number(ast.unparse(node)) if isinstance(node, ast.BinOp) else ast.literal_eval(node)
    except ValueError:
        raise ValueError(
            f"cannot read attack {text!r}: {ast.unparse(node)} is no number, word or fraction ({EXAMPLE})"
        ) from None
