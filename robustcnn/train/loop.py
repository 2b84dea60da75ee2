"""Training as a generator: one value an epoch, and whoever iterates decides what to do with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from torch import Tensor

from robustcnn.core.ranks import ALONE, Ranks
from robustcnn.core.results import EpochMetrics
from robustcnn.core.runtime import Precision
from robustcnn.data.resident import ResidentDataset
from robustcnn.models import PixelModel
from robustcnn.train.resume import Journal
from robustcnn.train.settings import FitConfig
from robustcnn.train.training import Training


def fit(
    model: PixelModel,
    train: ResidentDataset,
    validation: ResidentDataset,
    config: FitConfig | None = None,
    *,
    class_weights: Tensor | None = None,
    folder: Path | None = None,
    resume: bool = False,
    precision: Precision = "fp32",
    compiled: bool = False,
    progress: bool = True,
    ranks: Ranks = ALONE,
) -> Iterator[EpochMetrics]:
    """Train `model`, yielding every epoch's metrics; afterwards it carries the best epoch's weights.

    With a `folder`, each epoch ends in a checkpoint there, written before its metrics are yielded. `resume` goes on
    from that checkpoint and gives, on a CPU, the very weights of a training that was never interrupted.
    `progress` shows a bar, where there is a terminal to show it on. `ranks` are the processes that train together
    (`robustcnn.core.meeting.joined`); the first of them alone writes.
    """
    if resume and folder is None:
        raise ValueError("resume needs the folder that holds the checkpoint")
    training = ranks.each(
        lambda: Training(
            model,
            train,
            validation,
            config or FitConfig(),
            class_weights=class_weights,
            precision=precision,
            compiled=compiled,
            progress=progress,
            ranks=ranks,
        )
    )
    try:
        training.descent.shared.take_over()
        journal = Journal(folder, training) if folder is not None else None
        if journal is not None and resume:
            journal.restore()
        while not training.finished:
            metrics = training.epoch()
            if journal is not None:
                ranks.first(journal.save)
            yield metrics
    finally:
        training.release()
    model.load_state_dict(training.best_weights)
