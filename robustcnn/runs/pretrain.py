"""Pre-train a DCGAN: a config in; two networks, their pictures and their curves in a folder out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from robustcnn.core.atomic_files import write_atomically
from robustcnn.core.ownership import owned
from robustcnn.core.plain_data import to_plain
from robustcnn.core.ranks import ALONE, Ranks
from robustcnn.core.runtime import derived_seed, global_seed, pick_device, use_threads
from robustcnn.data.registry import load
from robustcnn.data.resident import ResidentDataset
from robustcnn.models import PixelModel, checkpoint
from robustcnn.models.dcgan import Generator, discriminator
from robustcnn.report.contact_sheet import sheet
from robustcnn.runs.folder import Say, folder_of, made_up, told
from robustcnn.runs.pretrain_config import PRETRAINING, PretrainConfig
from robustcnn.tracking import NullTracker, SpooledTracker, Tracker
from robustcnn.train.gan import checkpoint as gan_checkpoint
from robustcnn.train.gan.frechet import Features, penultimate_features
from robustcnn.train.gan.latents import interpolated, sample_latents
from robustcnn.train.gan.loop import pretrain
from robustcnn.train.gan.metrics import GAN_HEADER, GanMetrics
from robustcnn.train.gan.watch import alarms, generated
from robustcnn.train.pace import check_shares

PICTURES = "samples"
"""In a run's folder."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pretrained:
    """What a finished pre-training leaves behind."""

    folder: Path
    history: tuple[GanMetrics, ...]
    alarms: tuple[str, ...]
    """What went wrong on the way, epoch by epoch."""

    def __str__(self) -> str:
        last = self.history[-1]
        samples = f"diversity {last.diversity:.3f}, Frechet distance {last.frechet:.3g}"
        kept = f"after {last.epoch} epochs: {samples}; kept in {self.folder}, with pictures in {PICTURES}/"
        return "\n".join([*(f"beware: {trouble}" for trouble in self.alarms), kept])


def pretrain_run(
    config: PretrainConfig, *, resume: bool = False, say: Say = lambda _: None, ranks: Ranks = ALONE
) -> Pretrained:
    """Train as `config` says; `resume` goes on where the run of that name stopped.

    Of several processes (`ranks`) the first alone writes to the folder.
    """
    use_threads(config.threads)
    config = ranks.first(lambda: named(config))
    folder = folder_of(config)
    data = ranks.in_turn(lambda: load(config.data).train.to(ranks.device(pick_device(config.device))))
    ranks.alike("training data", data.fingerprint)
    with global_seed(derived_seed(config.fit.seed, "weights")):
        networks = Generator(data.spec, config.model), discriminator(data.spec, config.model)
    features = ranks.each(lambda: _features(config, data))
    with ExitStack() as owning:

        def claimed() -> bool:
            going_on = resume or PRETRAINING.goes_on(config)
            check_shares(len(data), config.fit.batch_size, ranks)
            owning.enter_context(owned(folder))
            if not going_on:
                PRETRAINING.claim(config)
            return going_on

        going_on = ranks.first(claimed)
        say = say if ranks.leads else lambda _: None
        return _pretrain(config, data, networks, features, resume=going_on, say=say, ranks=ranks)


def _pretrain(
    config: PretrainConfig,
    data: ResidentDataset,
    networks: tuple[Generator, PixelModel],
    features: Features | None,
    *,
    resume: bool,
    say: Say,
    ranks: Ranks,
) -> Pretrained:
    """In a folder that is this process's own."""
    folder, device = folder_of(config), data.device
    say(_opening(config, data, device, [sum(each.numel() for each in net.parameters()) for net in networks]))
    tracked = config.track and ranks.leads
    with SpooledTracker(folder, group=config.group, say=say) if tracked else NullTracker() as tracker:
        _introduce(tracker, config, data, device)
        if resume and ranks.leads:
            _catch_up(tracker, config, folder)
        say(GAN_HEADER)
        for metrics in pretrain(
            *networks,
            data,
            config.fit,
            folder=folder,
            resume=resume,
            features=features,
            precision=config.precision,
            ranks=ranks,
        ):
            say(str(metrics))
            tracker.epoch(metrics)
            if ranks.leads:
                _picture(tracker, folder, _epoch_name(metrics), _samples(networks[0], config))
            tracker.picture(f"{PICTURES}/{_epoch_name(metrics)}.png", "samples", step=metrics.epoch)
        return ranks.first(lambda: _finish(config, folder, tracker))


def resume(name: str, runs: Path, *, say: Say = lambda _: None, ranks: Ranks = ALONE) -> Pretrained:
    """Continue the pre-training of that name."""
    config, has_started = ranks.first(lambda: PRETRAINING.resumed(name, runs))
    return pretrain_run(config, resume=has_started, say=say, ranks=ranks)


def named(config: PretrainConfig) -> PretrainConfig:
    """The config with a name: its own, or one made up from data and time."""
    return config if config.name else replace(config, name=made_up(config.data.name, "dcgan"))


def _introduce(tracker: Tracker, config: PretrainConfig, data: ResidentDataset, device: torch.device) -> None:
    tracker.config(to_plain(config))
    tracker.tags(told() | {"device": str(device), "seed": config.fit.seed, "kind": "pre-training"})
    tracker.data(data, "training")


def _catch_up(tracker: Tracker, config: PretrainConfig, folder: Path) -> None:
    """The last epoch may have reached the checkpoint and neither the tracker nor its picture."""
    history = gan_checkpoint.read_page(folder).history
    for metrics in history:
        tracker.epoch(metrics)
    name = _epoch_name(history[-1])
    if not (folder / PICTURES / f"{name}.png").is_file():
        _picture(tracker, folder, name, _samples(gan_checkpoint.load_generator(folder), config))


def _opening(config: PretrainConfig, data: ResidentDataset, device: torch.device, counts: list[int]) -> str:
    made, judged = (f"{count:,}" for count in counts)
    return (
        f"run {config.name}: DCGAN (generator {made}, discriminator {judged} parameters) on {len(data):,} images of "
        f"{config.data.name}, {device}, {config.precision}"
    )


def _features(config: PretrainConfig, data: ResidentDataset) -> Features | None:
    if config.judge is None:
        return None
    judge = checkpoint.load(config.judge).to(data.device)
    if judge.spec.shape != data.spec.shape:
        raise ValueError(f"judge {config.judge} takes {judge.spec.shape} pictures, the data are {data.spec.shape}")
    return penultimate_features(judge)


def _latents(config: PretrainConfig, count: int) -> torch.Tensor:
    return sample_latents(count, config.model.latent, seed=config.fit.seed, purpose="shown samples")


def _samples(generator: Generator, config: PretrainConfig) -> bytes:
    """Images of the same 64 vectors in every epoch."""
    device = next(generator.parameters()).device
    return sheet(generated(generator, _latents(config, 64).to(device)), columns=8)


def _epoch_name(metrics: GanMetrics) -> str:
    return f"epoch-{metrics.epoch:04d}"


def _picture(tracker: Tracker, folder: Path, name: str, content: bytes) -> None:
    path = folder / PICTURES / f"{name}.png"
    write_atomically(path, content)
    tracker.artifact(path.relative_to(folder), under=PICTURES)


def _last_pictures(
    config: PretrainConfig, folder: Path, history: tuple[GanMetrics, ...]
) -> Iterator[tuple[str, bytes]]:
    """What is drawn once, at the end."""
    from robustcnn.report import plots

    start, end = _latents(config, 12).chunk(2)
    steps = 10
    images = generated(gan_checkpoint.load_generator(folder), interpolated(start, end, steps).flatten(0, 1))
    yield "interpolation", sheet(images, columns=steps)
    yield "curves", plots.png(plots.gan_curves(history))


def _finish(config: PretrainConfig, folder: Path, tracker: Tracker) -> Pretrained:
    history = gan_checkpoint.read_page(folder).history
    for name, content in _last_pictures(config, folder, history):
        _picture(tracker, folder, name, content)
    troubles = tuple(alarms(history))
    tracker.tags({"alarms": "; ".join(troubles) or "none"})
    tracker.checkpoint()
    return Pretrained(folder=folder, history=history, alarms=troubles)
