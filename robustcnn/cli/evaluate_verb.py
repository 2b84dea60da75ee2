"""The verb `evaluate`: models and suites, one evaluation each."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from robustcnn.cli.options import Problem, parse, take
from robustcnn.cli.process import Stopped
from robustcnn.report.pages import page
from robustcnn.runs.evaluate import Evaluated
from robustcnn.runs.evaluate_config import EvaluateConfig
from robustcnn.runs.evaluate_list import Entrusted, evaluate_list
from robustcnn.runs.find_model import Victim, find, is_foreign

Say = Callable[[str], None]
TEXT = (
    "Attack models, check the outcome, write reports; the same command goes on after any interruption.\n\n"
    "usage: robustcnn evaluate MODEL... [OPTIONS]\n\nMODEL: a run's name or MLflow id, a checkpoint folder, runs:/ID, "
    "models:/NAME@ALIAS,\n       package.module:function that returns a torch.nn.Module, torchvision:NAME[:FILE], "
    "timm:NAME[:FILE],\n       robustbench:NAME, onnx:FILE, pt2:FILE or http://HOST/PATH; these see pixels in "
    "[0, 1], --mean and --std change that\n\n"
    "Several models, or suites with commas between (--suite quick,standard), are one list; --workers N, --scheduler "
    "or\n--cluster share its pieces out: the same figures, whoever works them out"
)


def evaluate_verb(names: list[str], rest: list[str], *, say: Say) -> None:
    """Evaluate each model with each suite."""
    if not names:
        if {"-h", "--help"} & set(rest):
            parse(EvaluateConfig, rest, verb="evaluate", text=TEXT, default=EvaluateConfig())
        raise Problem("evaluate wants a MODEL before the options, got none")
    if twice := {name for name in names if names.count(name) > 1}:
        raise Problem(f"evaluate wants each MODEL once, got {', '.join(sorted(twice))} more often")
    suites, rest = take(rest, "--suite")
    chosen = [["--suite", suite.strip()] for suite in suites.split(",")] if suites else [[]]
    asked = [
        each for name in names for each in _asked(name, [[*rest, *suite] for suite in chosen], alone=not names[1:])
    ]

    def told(done: Evaluated) -> None:
        say(f"\n{done.table}\n\n{page(done.folder)}")

    try:
        evaluate_list(asked, say=say, told=told)
    except (KeyboardInterrupt, Stopped):
        print("\nstopped: what was found is kept, and the same command goes on from it", file=sys.stderr)
        raise


def _asked(name: str, options: Sequence[list[str]], *, alone: bool) -> list[Entrusted]:
    """What is asked about one model, its own data unless told otherwise; of a list it is forgotten until its turn."""
    default, victim = EvaluateConfig(), None
    if not is_foreign(name):
        kept, _ = take(options[0], "--runs")
        which, _ = take(options[0], "--which")
        victim = find(name, Path(kept) if kept else default.runs, which="last" if which == "last" else "best")
        default = default if victim.trained is None else replace(default, data=victim.trained.data)
    configs = [parse(EvaluateConfig, each, verb="evaluate", text=TEXT, default=default) for each in options]
    return [
        Entrusted(text=name, find=_finder(name, config, victim if alone else None), config=config) for config in configs
    ]


def _finder(name: str, config: EvaluateConfig, victim: Victim | None) -> Callable[[], Victim]:
    if victim is not None and not config.source.mean:
        return lambda: victim
    return partial(find, name, config.runs, which=config.which, source=config.source)
