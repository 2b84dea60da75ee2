"""Where all parts meet: a config in, a trained and tested model in a folder out."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy
import torch

import robustcnn
from robustcnn.core.atomic_files import write_atomically
from robustcnn.core.plain_data import from_plain, to_plain
from robustcnn.core.results import HEADER, EpochMetrics, Scores
from robustcnn.core.runtime import derived_seed, global_seed, pick_device, seeded, usable
from robustcnn.data.balance import balanced, class_weights
from robustcnn.data.registry import Splits, load
from robustcnn.evaluate import score
from robustcnn.models import PixelModel, checkpoint
from robustcnn.runs.train_config import TrainConfig
from robustcnn.runs.warm_start import INIT_FROM, Beginning, begin
from robustcnn.tracking import PLACE, NullTracker, SpooledTracker, Tracker
from robustcnn.train import fit

RECORD = "run.json"
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained:
    """What a finished training leaves behind."""

    folder: Path
    model: PixelModel
    history: tuple[EpochMetrics, ...]
    best: Scores
    """Test scores of the best epoch's weights, which `model` carries."""
    last: Scores
    """Test scores of the last epoch's weights."""

    def __str__(self) -> str:
        best, last = 100 * self.best.accuracy, 100 * self.last.accuracy
        return (
            f"test accuracy {best:.2f} % with the best epoch's weights, {last:.2f} % with the last "
            f"({self.best.count:,} images); kept in {self.folder}"
        )


def train(config: TrainConfig, *, resume: bool = False, say: Say = lambda _: None) -> Trained:
    """Train as `config` says; `resume` goes on where the run of that name stopped."""
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    config = named(config)
    folder = config.runs / config.name
    device = pick_device(config.device)
    splits = _splits(config, device)
    with global_seed(derived_seed(config.fit.seed, "weights")):
        # What a run started from may be gone by the time it goes on.
        beginning = Beginning(model=checkpoint.load(folder)) if resume else begin(config, splits.train.spec)
    model = beginning.model
    _claim(folder, config, beginning.record, resume=resume)
    say(_opening(config, splits, model, device) + beginning.line)
    with _tracker(config, folder, say) as tracker:
        _introduce(tracker, config, splits, device)
        tracker.tags({f"{INIT_FROM}.{key}": value for key, value in beginning.record.items()})
        if resume:
            # An epoch may have reached the checkpoint and not the tracker.
            for metrics in checkpoint.read_page(folder).history:
                tracker.epoch(metrics)
        for metrics in _epochs(model, config, splits, folder, resume=resume):
            if metrics.epoch == 1 or resume:
                say(HEADER)
                resume = False
            say(str(metrics))
            tracker.epoch(metrics)
        return _finish(config, splits, model, folder, tracker)


def resume(name: str, runs: Path, *, say: Say = lambda _: None) -> Trained:
    """Continue the run of that name; finished runs are only tested again."""
    config = read_config(runs / name)
    has_started = (runs / name / checkpoint.PAGE).exists()
    return train(replace(config, name=name, runs=runs), resume=has_started, say=say)


def read_config(folder: Path) -> TrainConfig:
    """The config that a run was started with."""
    path = folder / RECORD
    if not path.is_file():
        others = sorted(entry.parent.name for entry in folder.parent.glob(f"*/{RECORD}"))
        known = f"; there are: {', '.join(others)}" if others else ""
        raise FileNotFoundError(f"{folder} holds no run: it has no {RECORD}{known}")
    return from_plain(TrainConfig, json.loads(path.read_text())["config"])


def known_runs(runs: Path) -> list[Path]:
    """The folders of all runs that were started or tracked, the latest first."""
    folders = {path.parent for name in (RECORD, PLACE) for path in runs.glob(f"*/{name}")}
    return sorted(folders, key=lambda folder: folder.stat().st_mtime, reverse=True)


def _tracker(config: TrainConfig, folder: Path, say: Say) -> Tracker:
    return SpooledTracker(folder, say=say) if config.track else NullTracker()


def _introduce(tracker: Tracker, config: TrainConfig, splits: Splits, device: torch.device) -> None:
    """Tell the tracker what is about to be run."""
    tracker.config(to_plain(config))
    tracker.tags(provenance() | {"device": str(device), "seed": config.fit.seed, "verdict": "not evaluated"})
    for context, part in zip(splits._fields, splits, strict=True):
        tracker.data(part, context)


def _epochs(
    model: PixelModel, config: TrainConfig, splits: Splits, folder: Path, *, resume: bool
) -> Iterator[EpochMetrics]:
    weights = class_weights(splits.train) if config.balance == "weights" else None
    return fit(
        model,
        splits.train,
        splits.validation,
        config.fit,
        class_weights=weights,
        folder=folder,
        resume=resume,
        precision=config.precision,
        compiled=config.compile,
    )


def _splits(config: TrainConfig, device: torch.device) -> Splits:
    splits = load(config.data)
    train = balanced(splits.train, config.balance, generator=seeded(derived_seed(config.fit.seed, "balance")))
    return Splits(*(part.to(device) for part in (train, splits.validation, splits.test)))


def named(config: TrainConfig) -> TrainConfig:
    """The config with a name: its own, or one made up from data, model and time."""
    data = config.data.name.partition(":")[0]
    return config if config.name else replace(config, name=f"{data}-{config.model.name}-{stamp()}")


def stamp() -> str:
    """Time and process, so that two runs started at once differ."""
    return f"{datetime.now():%Y%m%d-%H%M%S}-{os.getpid() % 1000:03d}"


def _claim(folder: Path, config: TrainConfig, source: dict[str, str], *, resume: bool) -> None:
    """Write down what is about to be run; a run that is there already is never overwritten."""
    if resume:
        return
    if (folder / checkpoint.PAGE).exists():
        raise ValueError(
            f"a run named {config.name!r} is there already ({folder}): continue it with --resume {config.name}, or "
            "choose another --name"
        )
    record = {"config": to_plain(config), "made_by": provenance()} | ({INIT_FROM: source} if source else {})
    write_atomically(folder / RECORD, json.dumps(record, indent=1).encode())


def provenance() -> dict[str, str]:
    """Versions, commit and machine: what one needs to run it again."""
    return {
        "robustcnn": robustcnn.__version__,
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "commit": _commit(),
        "started": datetime.now().astimezone().isoformat(timespec="seconds"),
    }


def _commit() -> str:
    """Of the source tree that this package is imported from, when it is one."""
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.strip()


def _opening(config: TrainConfig, splits: Splits, model: PixelModel, device: torch.device) -> str:
    count = sum(parameter.numel() for parameter in model.parameters())
    sizes = " + ".join(f"{len(part):,}" for part in splits)
    return (
        f"run {config.name}: {config.model.name} ({count:,} parameters) on {config.data.name} "
        f"({sizes} images to train + validate + test), {device}, {usable(config.precision, device)}"
    )


def _finish(config: TrainConfig, splits: Splits, model: PixelModel, folder: Path, tracker: Tracker) -> Trained:
    """Touch the test data, once for each of the two sets of weights."""
    page = checkpoint.read_page(folder)
    last_model = checkpoint.load(folder, which="last").to(splits.test.device)
    best, last = (score(each, splits.test, precision=config.precision) for each in (model, last_model))
    record = json.loads((folder / RECORD).read_text()) | {"test": {"best": to_plain(best), "last": to_plain(last)}}
    write_atomically(folder / RECORD, json.dumps(record, indent=1).encode())
    for name, scores in {"test_best": best, "test_last": last}.items():
        tracker.metrics({f"{name}/loss": scores.loss, f"{name}/accuracy": scores.accuracy})
    tracker.metrics({"clean_acc": best.accuracy})
    tracker.checkpoint()
    if config.export:
        tracker.model()
    return Trained(folder=folder, model=model.eval(), history=page.history, best=best, last=last)
