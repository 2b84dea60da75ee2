"""The verbs that train: from a preset, a file and options to a config; and on from where a run was stopped."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from robustcnn.cli.options import parse, switches, take
from robustcnn.cli.process import Stopped
from robustcnn.core.launch import Parted, launched
from robustcnn.core.meeting import joined
from robustcnn.core.ranks import Ranks
from robustcnn.runs import pretrain as pretraining
from robustcnn.runs import train as runs
from robustcnn.runs.config_file import read_toml
from robustcnn.runs.folder import Say
from robustcnn.runs.presets import GAN_PRESETS, PRESETS, gan_preset, preset, presets_table
from robustcnn.runs.pretrain_config import PretrainConfig
from robustcnn.runs.sweep import SweepConfig
from robustcnn.runs.sweep import sweep as run_sweep
from robustcnn.runs.train_config import TrainConfig
from robustcnn.runs.warm_start import sources_model


def train(arguments: list[str], *, say: Say) -> None:
    """The verb `train`."""
    with _group() as ranks:
        _train(arguments, say if ranks.leads else _silent, ranks)


def _train(arguments: list[str], say: Say, ranks: Ranks) -> None:
    if resumed := _resumed(arguments):
        with _resumable("train", *resumed, ranks):
            say(str(runs.resume(*resumed, say=say, ranks=ranks)))
        return
    config = ranks.each(lambda: _train_config(arguments))
    config = ranks.first(lambda: runs.named(config))
    with _resumable("train", config.name, config.runs, ranks):
        say(str(runs.train(config, say=say, ranks=ranks)))


def _train_config(arguments: list[str]) -> TrainConfig:
    chosen, rest = _preset(arguments, PRESETS, TrainConfig())
    base = preset(chosen) if chosen else TrainConfig()
    file, rest = take(rest, "--config")
    text = _text("train", "Train a classifier; keep its best and its last weights.", presets_table(PRESETS))

    def parsed(base: TrainConfig) -> TrainConfig:
        told = base if file is None else read_toml(Path(file), base)
        return parse(TrainConfig, rest, verb="train", text=text, default=told)

    config = parsed(base)
    if config.init_from:
        # Once more, for options of the model change the one that the run starts from.
        config = parsed(replace(base, model=sources_model(config)))
    return config


def pretrain(arguments: list[str], *, say: Say) -> None:
    """The verb `pretrain`."""
    with _group() as ranks:
        _pretrain(arguments, say if ranks.leads else _silent, ranks)


def _pretrain(arguments: list[str], say: Say, ranks: Ranks) -> None:
    if resumed := _resumed(arguments):
        with _resumable("pretrain", *resumed, ranks):
            say(str(pretraining.resume(*resumed, say=say, ranks=ranks)))
        return
    config = ranks.each(lambda: _pretrain_config(arguments))
    config = ranks.first(lambda: pretraining.named(config))
    with _resumable("pretrain", config.name, config.runs, ranks):
        say(str(pretraining.pretrain_run(config, say=say, ranks=ranks)))


def _pretrain_config(arguments: list[str]) -> PretrainConfig:
    chosen, rest = _preset(arguments, GAN_PRESETS, PretrainConfig())
    base = gan_preset(chosen) if chosen else PretrainConfig()
    file, rest = take(rest, "--config")
    says = "Train a DCGAN without labels; a classifier can start from its discriminator."
    text = _text("pretrain", says, presets_table(GAN_PRESETS))
    told = base if file is None else read_toml(Path(file), base)
    return parse(PretrainConfig, rest, verb="pretrain", text=text, default=told)


def sweep(arguments: list[str], *, say: Say) -> None:
    """The verb `sweep`."""
    chosen, rest = _preset(arguments, PRESETS, SweepConfig())
    base = SweepConfig(train=preset(chosen) if chosen else TrainConfig())
    text = (
        "Search for good settings by many trainings; the same command goes on with the same --study.\n\n"
        'usage: robustcnn sweep [PRESET] --vary "fit.optim.lr=log(1e-4,1e-1)" ... [OPTIONS]\n\npresets:\n'
        f"{presets_table(PRESETS)}"
    )
    config = parse(SweepConfig, rest, verb="sweep", text=text, default=base)
    say(run_sweep(config, say=say))


def _preset(arguments: list[str], known: Iterable[str], default: Any) -> tuple[str | None, list[str]]:
    """The preset that is named, first or anywhere but as an option's value, and the other arguments."""
    if arguments and not arguments[0].startswith("-"):
        return arguments[0], arguments[1:]
    flags = set(switches(default))
    for index, word in enumerate(arguments):
        before = arguments[index - 1] if index else ""
        if word in known and (not before.startswith("--") or "=" in before or before in flags):
            return word, [*arguments[:index], *arguments[index + 1 :]]
    return None, arguments


def _text(verb: str, says: str, presets: str) -> str:
    return (
        f"{says}\n\nusage: robustcnn {verb} [PRESET] [--config FILE.toml] [OPTIONS]\n"
        f"       robustcnn {verb} --resume RUN [--runs FOLDER]\n\npresets:\n{presets}"
    )


def _resumed(arguments: list[str]) -> tuple[str, Path] | None:
    """The run that --resume names and the folder that it is in."""
    name, rest = take(arguments, "--resume")
    if name is None:
        return None
    kept, rest = take(rest, "--runs")
    if rest:
        raise ValueError(f"--resume keeps the run's own config: {' '.join(rest)} cannot be given with it")
    return name, Path(kept) if kept else TrainConfig().runs


@contextlib.contextmanager
def _resumable(verb: str, name: str, runs: Path, ranks: Ranks) -> Iterator[None]:
    """Say how to go on when the training inside the block is stopped."""
    go_on = f"continue with: robustcnn {verb} --resume {name} --runs {runs}"
    try:
        yield
    except (KeyboardInterrupt, Stopped):
        if ranks.leads or ranks.world > 1:
            why = "" if ranks.world == 1 else f" (rank {ranks.rank} of {ranks.world}: Ctrl-C, or another process ended)"
            print(f"\nstopped{why}; {go_on}", file=sys.stderr)
        raise
    except Parted as problem:
        raise Parted(f"{problem}; {go_on}") from problem


@contextlib.contextmanager
def _group() -> Iterator[Ranks]:
    """The processes that were launched together; says why when they never came to be so."""
    with contextlib.ExitStack() as stack:
        try:
            ranks = stack.enter_context(joined())
        except Stopped:
            me = launched()
            waited = f"rank {me.rank} of {me.world} was ended while it waited for the others"
            print(f"robustcnn: {waited}: one of them ended as it began", file=sys.stderr)
            raise
        yield ranks


def _silent(_: str) -> None:
    """One process of several speaks."""
