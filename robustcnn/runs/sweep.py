"""Hyper-parameter search: many trainings under one study, by as many processes as share its storage."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robustcnn.core.atomic_files import is_plain_name, write_atomically
from robustcnn.core.folders import SWEEPS
from robustcnn.core.plain_data import did_you_mean, from_plain, to_plain
from robustcnn.core.results import MONITORS, EpochMetrics
from robustcnn.report.table import Cell, Table
from robustcnn.runs.folder import Say, stamp
from robustcnn.runs.pool import PoolConfig
from robustcnn.runs.ranges import Range, distinct, nested, read_range
from robustcnn.runs.searchers import SEARCHER, is_lost, searching
from robustcnn.runs.train import Trained, train
from robustcnn.runs.train_config import TrainConfig

if TYPE_CHECKING:
    from optuna import Study, Trial

WORKER = "import sys; from robustcnn.runs.sweep import work; work(sys.argv[1])"
INSTALL = "a sweep needs Optuna: pip install 'robustcnn[sweep]'"


@dataclass(frozen=True, kw_only=True, slots=True)
class SweepConfig:
    """Train with many settings and keep the best."""

    study: str = ""
    """Name of the search, and first part of its runs' names; the same name goes on with it."""
    vary: tuple[str, ...] = ()
    """Options and their values: fit.optim.lr="log(1e-4,1e-1)", int(..), uniform(..), choice(a,b)."""
    objective: tuple[str, ...] = ("valid_accuracy",)
    """What to make best on validation data; two (valid_accuracy robust_accuracy) make a Pareto front."""
    trials: int = 20
    """Trainings in all, those of other processes and of earlier calls counted."""
    prune: bool = True
    """Whether trainings worse than the median of earlier ones are stopped (one objective only); --no-prune: none is."""
    storage: str = ""
    """Where the study is kept: a URL such as postgresql://... for several machines; a file when not given."""
    workers: int = 1
    """Processes on this machine."""
    scheduler: str = ""
    """Address of a Dask scheduler, tcp://HOST:8786: its workers train, and see the folder of the runs."""
    seed: int = 0
    """Of the search."""
    train: TrainConfig = field(default_factory=TrainConfig)
    """What all trainings have in common."""

    def __post_init__(self) -> None:
        if self.study and not is_plain_name(self.study):
            raise ValueError(f"study must be a plain name, got {self.study!r}")
        if min(self.trials, self.workers) < 1:
            raise ValueError(f"trials and workers must be at least 1, got {self.trials} and {self.workers}")
        if self.scheduler:
            PoolConfig(scheduler=self.scheduler, workers=self.workers if self.workers > 1 else None)
        for name in self.objective:
            if name not in MONITORS:
                raise ValueError(f"unknown objective {name!r}{did_you_mean(name, MONITORS)}")
        if not 1 <= len(self.objective) <= 2:
            raise ValueError(f"objective must name one metric or two, got {len(self.objective)}")

    @property
    def ranges(self) -> tuple[Range, ...]:
        return tuple(map(read_range, self.vary))

    @property
    def folder(self) -> Path:
        return self.train.runs.parent / SWEEPS / self.study

    @property
    def searchers(self) -> Path:
        """Where processes that search say that they are alive."""
        return self.folder / "searchers"


def sweep(config: SweepConfig, *, say: Say = lambda _: None) -> str:
    """Search until there are `trials` trainings; gives the table, and where the page is."""
    optuna = _optuna()
    config = config if config.study else replace(config, study=f"sweep-{stamp()}")
    distinct(config.ranges)
    _refuse_early(config)
    study = optuna.create_study(
        study_name=config.study,
        storage=_storage(config),
        directions=["maximize" if "accuracy" in name else "minimize" for name in config.objective],
        sampler=optuna.samplers.TPESampler(seed=config.seed, constant_liar=True),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=4) if config.prune else optuna.pruners.NopPruner(),
        load_if_exists=True,
    )
    _forget_the_dead(study, config)
    say(f"study {config.study}: {_finished(study)} of {config.trials} trainings are there; kept in {config.folder}")
    if config.scheduler:
        _elsewhere(study, config, say)
        return conclude(study, config)
    with _others(config):
        _search(study, config, say)
    # In place of those whose process was killed.
    _forget_the_dead(study, config)
    _search(study, config, say)
    if missing := max(config.trials - _finished(study), 0):
        say(f"{missing} trainings are under way in other processes; once those have ended, the same command goes on")
    return conclude(study, config)


def _finished(study: Study) -> int:
    state = _optuna().trial.TrialState
    return len(study.get_trials(deepcopy=False, states=(state.COMPLETE, state.PRUNED)))


def _search(study: Study, config: SweepConfig, say: Say) -> None:
    """One training after the other, until as many are finished or under way as are asked for, here or elsewhere."""
    optuna = _optuna()
    state = optuna.trial.TrialState

    def counted(before: float) -> int:
        trials = study.get_trials(deepcopy=False, states=(state.COMPLETE, state.PRUNED, state.RUNNING))
        return sum(trial.number < before for trial in trials)

    with searching(config.searchers) as name:
        while counted(math.inf) < config.trials:
            trial = study.ask()
            trial.set_user_attr(SEARCHER, name)
            # Another process may have asked at the same moment: numbers tell who came first.
            if counted(trial.number) >= config.trials:
                study.tell(trial, state=state.FAIL)
                return
            try:
                values = _try(trial, config, say)
            except optuna.TrialPruned:
                study.tell(trial, state=state.PRUNED)
            except Exception:
                study.tell(trial, state=state.FAIL)
                raise
            else:
                study.tell(trial, values)


def _elsewhere(study: Study, config: SweepConfig, say: Say) -> None:
    """The workers of a scheduler search; this process tells how far they are."""
    from robustcnn.runs.pool.everywhere import everywhere, work_on

    ended = {trial.number for trial in study.trials if trial.values}

    def meanwhile() -> None:
        for trial in study.trials:
            if trial.values and trial.number not in ended:
                ended.add(trial.number)
                say(_said(trial.user_attrs.get("run", "?"), config, trial.values))

    alone = replace(config, scheduler="", workers=1, train=replace(config.train, runs=config.train.runs.absolute()))
    with everywhere(PoolConfig(scheduler=config.scheduler), config.folder, say=say) as pool:
        told = [replace(alone, seed=config.seed + number) for number in range(pool.size)]
        work_on(pool, work, [json.dumps(to_plain(each)) for each in told], meanwhile=meanwhile)


def _said(run: str, config: SweepConfig, values: Sequence[float]) -> str:
    pairs = zip(config.objective, values, strict=True)
    return f"{run}: " + ", ".join(f"{name} {value:.4f}" for name, value in pairs)


def _try(trial: Trial, config: SweepConfig, say: Say) -> tuple[float, ...]:
    """One training; its values are those of its best epoch."""
    optuna = _optuna()
    asked = config_of(trial, config)
    trial.set_user_attr("run", asked.name)

    def watch(metrics: EpochMetrics) -> None:
        if config.prune and len(config.objective) == 1:
            trial.report(_value(metrics, config.objective[0]), metrics.epoch)
            if trial.should_prune():
                raise optuna.TrialPruned

    say(f"{asked.name}: " + ", ".join(f"{path} = {_shown(value)}" for path, value in trial.params.items()))
    done = train(asked, on_epoch=watch)
    best = _best(done)
    values = tuple(_value(best, name) for name in config.objective)
    say(_said(asked.name, config, values))
    return values


def config_of(trial: Trial, config: SweepConfig) -> TrainConfig:
    """The common config with the trial's values in it."""
    drawn = {each.path: _drawn(trial, each) for each in config.ranges}
    told = from_plain(TrainConfig, nested(drawn), base=config.train)
    return replace(told, name=f"{config.study}-{trial.number:04d}", group=config.study)


def conclude(study: Study, config: SweepConfig) -> str:
    """Table, page and pictures of what has been found."""
    from robustcnn.report import plots

    rows = [trial for trial in study.trials if trial.values is not None]
    if not rows:
        return "no training has finished"
    table = _table(study, config)
    params = {each.path: [trial.params[each.path] for trial in rows] for each in config.ranges}
    values = {name: [trial.values[i] for trial in rows] for i, name in enumerate(config.objective)}
    write_atomically(config.folder / "sweep.png", plots.png(plots.sweep(params, values)))
    write_atomically(config.folder / "sweep.md", f"# {config.study}\n\n![](sweep.png)\n\n{table.markdown()}\n".encode())
    best = [{"run": each.user_attrs["run"], "values": each.values, "params": each.params} for each in study.best_trials]
    write_atomically(config.folder / "best.json", json.dumps(best, indent=1).encode())
    return f"{table.text()}\n\nbest: {', '.join(each['run'] for each in best)}; page: {config.folder / 'sweep.md'}"


def _table(study: Study, config: SweepConfig) -> Table:
    best = {trial.number for trial in study.best_trials}
    trials = sorted((trial for trial in study.trials if trial.values), key=lambda trial: -trial.values[0])
    rows = tuple(
        (
            (trial.user_attrs.get("run", "?"), "best" if trial.number in best else ""),
            tuple(Cell(text=f"{value:.4f}", value=value) for value in trial.values)
            + tuple(Cell(text=_shown(trial.params.get(each.path, ""))) for each in config.ranges),
        )
        for trial in trials
    )
    columns = (*config.objective, *(each.path for each in config.ranges))
    return Table(labels=("run", ""), across="values and settings", columns=columns, rows=rows)


def _drawn(trial: Trial, each: Range) -> Any:
    if each.scale == "choice":
        return trial.suggest_categorical(each.path, each.values)
    low, high = (float(value) for value in each.values)
    if each.scale == "int":
        return trial.suggest_int(each.path, int(low), int(high))
    return trial.suggest_float(each.path, low, high, log=each.scale == "log")


def _refuse_early(config: SweepConfig) -> None:
    """A path that leads nowhere, or a value of the wrong kind, before anything is trained."""
    ends = {each.path: int(each.values[0]) if each.scale == "int" else each.values[0] for each in config.ranges}
    told = from_plain(TrainConfig, nested(ends), base=config.train)
    if "robust_accuracy" in config.objective and told.fit.watched is None:
        raise ValueError("objective robust_accuracy needs an adversarial --objective and --watch above 0")


def _forget_the_dead(study: Study, config: SweepConfig) -> None:
    """Trials whose process is gone are no longer waited for."""
    optuna = _optuna()
    for trial in study.get_trials(states=(optuna.trial.TrialState.RUNNING,)):
        if is_lost(trial, config.searchers):
            # Two may come to forget the same one.
            with suppress(ValueError):
                study.tell(trial.number, state=optuna.trial.TrialState.FAIL)


def _others(config: SweepConfig) -> ExitStack:
    """The other processes of this machine; they end when the study is full, or with this one."""
    stack = ExitStack()
    for number in range(1, config.workers):
        told = json.dumps(to_plain(replace(config, workers=1, seed=config.seed + number)))
        stack.callback(subprocess.Popen([sys.executable, "-c", WORKER, told]).wait)
    return stack


def work(told: str) -> None:
    """What another process of the same search does."""
    sweep(from_plain(SweepConfig, json.loads(told)), say=lambda line: print(line, flush=True))  # noqa: T201


def _storage(config: SweepConfig) -> Any:
    optuna = _optuna()
    if config.storage:
        return config.storage
    config.folder.mkdir(parents=True, exist_ok=True)
    backend = optuna.storages.journal.JournalFileBackend(str(config.folder / "study.log"))
    return optuna.storages.JournalStorage(backend)


def _best(done: Trained) -> EpochMetrics:
    return next(metrics for metrics in reversed(done.history) if metrics.best)


def _value(metrics: EpochMetrics, name: str) -> float:
    return float(getattr(metrics, name))


def _shown(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise ValueError(INSTALL) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
