"""The command line: verbs, each with options generated from a typed config."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

from robustcnn.cli import help_pages, trouble
from robustcnn.cli.colour import bold, coloured
from robustcnn.cli.process import Stopped, plain_warnings, terminating
from robustcnn.core.importing import importing
from robustcnn.core.launch import EndedElsewhere, launched

# Only what a verb needs is imported, inside it: `robustcnn --help` must not wait for torch.


@dataclass(frozen=True, kw_only=True, slots=True)
class Verb:
    """One thing the command can do."""

    run: Callable[[list[str]], None]
    says: str


def main(argv: list[str] | None = None) -> int:
    """Run one verb; gives the exit status: 2 for a user's mistake, 1 for a run that failed."""
    arguments, traced = trouble.asked(sys.argv[1:] if argv is None else argv)
    if not arguments:
        print(_welcome())
        return 0
    if arguments[0] in ("-h", "--help", "help"):
        print(_overview())
        return 0
    if arguments[0] == "--version":
        arguments = ["version"]
    if arguments[1:] in (["-h"], ["--help"]) and (page := help_pages.kept(arguments[0])):
        print(page)
        return 0
    try:
        with terminating(), plain_warnings():
            verb = _verb(arguments[0])
            _refuse_torchrun(arguments[0])
            verb.run(arguments[1:])
    except Exception as problem:
        return trouble.told(problem, traced=traced)
    except KeyboardInterrupt:
        return 130
    except Stopped:
        return 143
    return 0


def _verb(name: str) -> Verb:
    from robustcnn.core.plain_data import did_you_mean

    if name not in VERBS:
        raise ValueError(f"unknown verb {name!r}{did_you_mean(name, VERBS)}")
    return VERBS[name]


def _refuse_torchrun(name: str) -> None:
    """Most verbs are the work of one process, and several would stand in each other's way."""
    launch = launched()
    if launch.run and launch.world > 1 and name not in TOGETHER:
        if launch.rank:
            raise EndedElsewhere("rank 0 says why", status=2)
        raise ValueError(f"{name} is the work of one process: leave torchrun out ({' and '.join(TOGETHER)} are for it)")


def _overview() -> str:
    verbs = "\n".join(f"  {name:<10} {verb.says}" for name, verb in VERBS.items())
    return (
        f"{TITLE}\n\nusage: robustcnn VERB [OPTIONS]        robustcnn VERB --help explains the options\n\n{verbs}\n\n"
        "--traceback, or ROBUSTCNN_TRACEBACK=1, shows where in the source something went wrong"
    )


def _welcome() -> str:
    """What a newcomer needs."""
    rows = [(f"robustcnn {line}", says) for line, says in FIRST]
    width = max(len(line) for line, _ in rows)
    commands = "\n".join(f"  {bold(f'{line:<{width}}')}   {says}" for line, says in rows)
    return f"{TITLE}\n\n{commands}\n\nrobustcnn --help lists all verbs; robustcnn VERB --help explains one."


def _say(line: str) -> None:
    print(coloured(line), flush=True)


def _version(_: list[str]) -> None:
    from robustcnn import __version__

    print(__version__)


def _completion(arguments: list[str]) -> None:
    from robustcnn.cli.completion import script
    from robustcnn.cli.options import Problem

    if len(arguments) != 1:
        raise Problem("completion wants one shell: bash, zsh or fish")
    print(script(arguments[0], list(VERBS)), end="")


def _train(arguments: list[str]) -> None:
    with importing():
        from robustcnn.cli.training_verbs import train

    train(arguments, say=_say)


def _pretrain(arguments: list[str]) -> None:
    with importing():
        from robustcnn.cli.training_verbs import pretrain

    pretrain(arguments, say=_say)


def _sweep(arguments: list[str]) -> None:
    with importing():
        from robustcnn.cli.training_verbs import sweep

    sweep(arguments, say=_say)


def _data(arguments: list[str]) -> None:
    with importing():
        from robustcnn.cli import look
    from robustcnn.cli.options import parse

    if not arguments:
        _say(look.sources())
        return
    text = "Look at a data set: sizes, classes, statistics, sample pictures. Without options: list what there is."
    _say(look.data_set(parse(look.DataVerb, arguments, verb="data", text=text, default=look.DataVerb())))


def _describe(arguments: list[str]) -> None:
    with importing():
        from robustcnn.cli import look
    from robustcnn.cli.options import parse

    text = "A model's layers on a data set's pictures: kernels, output sizes, receptive fields, parameters, operations."
    default = look.DescribeVerb()
    _say(look.model(parse(look.DescribeVerb, arguments, verb="describe", text=text, default=default)))


def _named(arguments: list[str]) -> tuple[list[str], list[str]]:
    """The names that stand before the first option, and the rest."""
    count = next((i for i, word in enumerate(arguments) if word.startswith("-")), len(arguments))
    return arguments[:count], arguments[count:]


def _evaluate(arguments: list[str]) -> None:
    with importing():
        from robustcnn.cli.evaluate_verb import evaluate_verb

    evaluate_verb(*_named(arguments), say=_say)


def _compare(arguments: list[str]) -> None:
    from robustcnn.cli.options import Problem, parse

    with importing():
        from robustcnn.runs.compare import CompareVerb, compare

    names, rest = _named(arguments)
    text = "Runs side by side, in one table and one page.\n\nusage: robustcnn compare RUN... [OPTIONS]"
    options = parse(CompareVerb, rest, verb="compare", text=text, default=CompareVerb())
    if not names:
        raise Problem("compare wants the names of runs, got none")
    _say(compare(names, options, say=_say))


def _ui(arguments: list[str]) -> None:
    from robustcnn.cli.mlflow_page import UiVerb, ui
    from robustcnn.cli.options import parse

    names, rest = _named(arguments)
    text = "MLflow's web page on the runs, with links to their curves.\n\nusage: robustcnn ui [RUN...] [OPTIONS]"
    ui(names, parse(UiVerb, rest, verb="ui", text=text, default=UiVerb()), say=_say)


def _sync(arguments: list[str]) -> None:
    from robustcnn.cli.mlflow_page import SyncVerb, sync_runs
    from robustcnn.cli.options import parse

    names, rest = _named(arguments)
    text = "Upload what MLflow missed while it could not be reached.\n\nusage: robustcnn sync [RUN...] [OPTIONS]"
    sync_runs(names, parse(SyncVerb, rest, verb="sync", text=text, default=SyncVerb()), say=_say)


def _promote(arguments: list[str]) -> None:
    from robustcnn.cli.mlflow_page import PromoteVerb, promote_run
    from robustcnn.cli.options import parse

    names, rest = _named(arguments)
    says = "Register the most robust run in MLflow as models:/NAME@champion."
    text = f"{says}\n\nusage: robustcnn promote [RUN...] [OPTIONS]"
    promote_run(names, parse(PromoteVerb, rest, verb="promote", text=text, default=PromoteVerb()), say=_say)


def _demo(arguments: list[str]) -> None:
    from robustcnn.cli.options import parse

    with importing():
        from robustcnn.runs.demo import DemoVerb, demo

    text = (
        "Train five small CNNs (plain, regularised, augmented, adversarial, DCGAN-initialised), attack them, compare."
    )
    _say(demo(parse(DemoVerb, arguments, verb="demo", text=text, default=DemoVerb()), say=_say))


def _attack(arguments: list[str]) -> None:
    with importing():
        from robustcnn.cli.attack_verb import attack_verb

    attack_verb(*_named(arguments), say=_say)


TITLE = "robustcnn: how robust is this CNN, and can I trust the number?"
TOGETHER = ("train", "pretrain")
"""Verbs that several processes under torchrun do together."""
FIRST = (
    ("demo", "train, attack and compare five small CNNs, in about three minutes"),
    ("train digits-quick --name mine", "a CNN of your own, on embedded digits"),
    ("evaluate mine --suite quick", "attack it, check the measurement, write a report"),
    ("ui", "all runs in MLflow"),
)
"""The four commands that a newcomer needs."""
VERBS = {
    "demo": Verb(run=_demo, says="train, attack and compare five small CNNs on embedded data, in three minutes"),
    "train": Verb(run=_train, says="fit a classifier; --resume RUN continues after any interruption"),
    "pretrain": Verb(run=_pretrain, says="fit a DCGAN without labels, for classifiers to start from"),
    "sweep": Verb(run=_sweep, says="search for good settings: many trainings, several processes or machines"),
    "evaluate": Verb(run=_evaluate, says="attack models, check the outcome, write a report; one process or many"),
    "attack": Verb(run=_attack, says="adversarial versions of your pictures, panda to gibbon: a figure, and files"),
    "compare": Verb(run=_compare, says="runs side by side: a table and one page"),
    "ui": Verb(run=_ui, says="MLflow's web page on the runs, with links to their curves"),
    "promote": Verb(run=_promote, says="register the most robust run as models:/NAME@champion"),
    "sync": Verb(run=_sync, says="upload what MLflow missed while it could not be reached"),
    "data": Verb(run=_data, says="list the data sets, say which are here, look into one"),
    "describe": Verb(run=_describe, says="a model layer by layer: sizes, receptive fields, parameters, operations"),
    "completion": Verb(run=_completion, says="print what bash, zsh or fish need to complete verbs and options"),
    "version": Verb(run=_version, says="print the version"),
}
