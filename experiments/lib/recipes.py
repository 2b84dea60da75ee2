"""Runs of the experiments on robust training: trained once, judged once, and only looked up from then on."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import nn

from robustcnn import evaluate, load
from robustcnn.attacks import Attack
from robustcnn.core.results import Share
from robustcnn.core.runtime import seeded
from robustcnn.core.threat import ThreatModel
from robustcnn.models.checkpoint import Which
from robustcnn.models.checkpoint import load as load_weights
from robustcnn.runs import train as runs
from robustcnn.runs.train_config import TRAINING, TrainConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """What a run reaches on test images."""

    clean: str
    """Of all of them."""
    robust: str
    """Under attack, of some."""
    epochs: int
    minutes: float


def trained(config: TrainConfig) -> runs.Trained:
    """The run of that config, from wherever it stands."""
    folder = config.runs / config.name
    if not (folder / TRAINING.record).exists():
        return runs.train(config, say=print)
    if (asked := TRAINING.read_config(folder)) != replace(config, track=asked.track):
        raise SystemExit(f"{folder} holds a run of another config: remove it, or choose another --runs")
    return runs.resume(config.name, config.runs, say=print)


def judged(config: TrainConfig, which: Which, attacks: list[Attack], threat: ThreatModel, count: int) -> Judged:
    """The run's weights of that epoch under the worst of the attacks, on a stratified part of the test images."""
    done = trained(config)
    test = load(config.data).test
    data = test if count >= len(test) else test.sample(count, generator=seeded(0))
    kept = done.folder / f"{'-'.join(type(each).__name__.lower() for each in attacks)}-{which}-{count}"
    device = "cuda" if torch.cuda.is_available() else "cpu"
    block = 1000 if device == "cuda" else 100
    model: nn.Module = load_weights(done.folder, which=which).to(device).eval()
    report = evaluate.evaluate(model, data.to(device), attacks, [threat], block=block, folder=kept, say=print)
    scores = done.best if which == "best" else done.last
    robust: Share = report.threats[0].robust
    return Judged(
        clean=f"{100 * scores.accuracy:.2f} % of {scores.count:,}",
        robust=f"{robust}, n = {len(data):,}",
        epochs=len(done.history),
        minutes=sum(epoch.seconds for epoch in done.history) / 60,
    )
