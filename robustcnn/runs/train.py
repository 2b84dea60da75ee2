"""Where all parts meet: a config in, a trained and tested model in a folder out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from robustcnn.core.ownership import owned
from robustcnn.core.plain_data import to_plain
from robustcnn.core.ranks import ALONE, Ranks
from robustcnn.core.results import HEADER, EpochMetrics, Scores
from robustcnn.core.runtime import derived_seed, global_seed, pick_device, seeded, usable, use_threads
from robustcnn.data.balance import balanced, class_weights
from robustcnn.data.registry import Splits, load
from robustcnn.evaluate import score
from robustcnn.models import PixelModel, build, checkpoint
from robustcnn.runs.folder import Say, folder_of, made_up, told
from robustcnn.runs.told import tell_training
from robustcnn.runs.train_config import TRAINING, TrainConfig
from robustcnn.runs.warm_start import INIT_FROM, Beginning, begin
from robustcnn.tracking import NullTracker, SpooledTracker, Tracker
from robustcnn.train import fit
from robustcnn.train.pace import check_shares

OnEpoch = Callable[[EpochMetrics], None]


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


def train(
    config: TrainConfig,
    *,
    resume: bool = False,
    say: Say = lambda _: None,
    on_epoch: OnEpoch = lambda _: None,
    ranks: Ranks = ALONE,
) -> Trained:
    """Train as `config` says; `resume` goes on where the run of that name stopped; `on_epoch` may end it by raising.

    Of several processes (`ranks`) the first alone writes to the folder, and is told of epochs.
    """
    use_threads(config.threads)
    config = ranks.first(lambda: named(config))
    folder = folder_of(config)
    splits = ranks.in_turn(lambda: _splits(config, ranks.device(pick_device(config.device))))
    ranks.alike("training data", splits.train.fingerprint)
    with ExitStack() as owning:
        beginnings = []

        def claimed() -> bool:
            going_on = resume or TRAINING.goes_on(config)
            with global_seed(derived_seed(config.fit.seed, "weights")):
                # What a run started from may be gone by the time it goes on.
                fresh = None if going_on else begin(config, splits.train.spec)
            check_shares(len(splits.train), config.fit.batch_size, ranks)
            owning.enter_context(owned(folder))
            if fresh is not None:
                TRAINING.claim(config, {INIT_FROM: fresh.record} if fresh.record else {})
            beginnings.append(fresh or Beginning(model=checkpoint.load(folder)))
            return going_on

        going_on = ranks.first(claimed)
        # The others take the weights over from the first, who alone has to find them.
        beginning = beginnings[0] if beginnings else Beginning(model=build(config.model, splits.train.spec, seed=0))
        return _train(
            config,
            splits,
            folder,
            beginning,
            resume=going_on,
            say=say if ranks.leads else lambda _: None,
            on_epoch=on_epoch if ranks.leads else lambda _: None,
            ranks=ranks,
        )


def _train(
    config: TrainConfig,
    splits: Splits,
    folder: Path,
    beginning: Beginning,
    *,
    resume: bool,
    say: Say,
    on_epoch: OnEpoch,
    ranks: Ranks,
) -> Trained:
    """In a folder that is this process's own."""
    model, device = beginning.model, splits.train.device
    say(_opening(config, splits, model, device, ranks) + beginning.line)
    with _tracker(config, folder, say) if ranks.leads else NullTracker() as tracker:
        _introduce(tracker, config, splits, device)
        tracker.tags({f"{INIT_FROM}.{key}": value for key, value in beginning.record.items()})
        if resume and ranks.leads:
            # An epoch may have reached the checkpoint and not the tracker.
            for metrics in checkpoint.read_page(folder).history:
                tracker.epoch(metrics)
        for metrics in _epochs(model, config, splits, folder, resume=resume, ranks=ranks):
            if metrics.epoch == 1 or resume:
                say(HEADER)
                resume = False
            say(str(metrics))
            tracker.epoch(metrics)
            on_epoch(metrics)
        history, best, last = ranks.first(lambda: _finish(config, splits, model, folder, tracker))
    return Trained(folder=folder, model=model.eval(), history=history, best=best, last=last)


def resume(name: str, runs: Path, *, say: Say = lambda _: None, ranks: Ranks = ALONE) -> Trained:
    """Continue the run of that name; finished runs are only tested again."""
    config, has_started = ranks.first(lambda: TRAINING.resumed(name, runs))
    return train(config, resume=has_started, say=say, ranks=ranks)


def _tracker(config: TrainConfig, folder: Path, say: Say) -> Tracker:
    return SpooledTracker(folder, group=config.group, say=say) if config.track else NullTracker()


def _introduce(tracker: Tracker, config: TrainConfig, splits: Splits, device: torch.device) -> None:
    """Tell the tracker what is about to be run."""
    tracker.config(to_plain(config))
    tracker.tags(told() | {"device": str(device), "seed": config.fit.seed, "verdict": "not evaluated"})
    for context, part in zip(splits._fields, splits, strict=True):
        tracker.data(part, context)


def _epochs(
    model: PixelModel, config: TrainConfig, splits: Splits, folder: Path, *, resume: bool, ranks: Ranks
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
        ranks=ranks,
    )


def _splits(config: TrainConfig, device: torch.device) -> Splits:
    splits = load(config.data)
    train = balanced(splits.train, config.balance, generator=seeded(derived_seed(config.fit.seed, "balance")))
    return Splits(*(part.to(device) for part in (train, splits.validation, splits.test)))


def named(config: TrainConfig) -> TrainConfig:
    """The config with a name: its own, or one made up from data, model and time."""
    return config if config.name else replace(config, name=made_up(config.data.name, config.model.name))


def _opening(config: TrainConfig, splits: Splits, model: PixelModel, device: torch.device, ranks: Ranks) -> str:
    count = sum(parameter.numel() for parameter in model.parameters())
    sizes = " + ".join(f"{len(part):,}" for part in splits)
    return (
        f"run {config.name}: {config.model.name} ({count:,} parameters) on {config.data.name} "
        f"({sizes} images to train + validate + test), {device}, {usable(config.precision, device)}"
        f"{f', {ranks.world} processes' if ranks.world > 1 else ''}"
    )


def _finish(
    config: TrainConfig, splits: Splits, model: PixelModel, folder: Path, tracker: Tracker
) -> tuple[tuple[EpochMetrics, ...], Scores, Scores]:
    """Touch the test data, once for each of the two sets of weights."""
    page = checkpoint.read_page(folder)
    last_model = checkpoint.load(folder, which="last").to(splits.test.device)
    best, last = (score(each, splits.test, precision=config.precision) for each in (model, last_model))
    TRAINING.add(folder, {"test": {"best": to_plain(best), "last": to_plain(last)}})
    for name, scores in {"test_best": best, "test_last": last}.items():
        tracker.metrics({f"{name}/loss": scores.loss, f"{name}/accuracy": scores.accuracy})
    tracker.metrics({"accuracy": best.accuracy})
    if config.track:
        tell_training(tracker, folder, page.history, best)
    tracker.checkpoint(training=config.track_training)
    if config.export:
        tracker.model()
    return page.history, best, last
