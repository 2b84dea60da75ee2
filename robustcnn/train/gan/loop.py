"""Pre-training of a DCGAN as a generator: one value an epoch, as `fit` does it for classifiers."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from robustcnn.core.ranks import ALONE, Ranks
from robustcnn.core.runtime import WideRange
from robustcnn.data.resident import ResidentDataset
from robustcnn.models import PixelModel
from robustcnn.models.dcgan import Generator
from robustcnn.train.gan import checkpoint as gan_checkpoint
from robustcnn.train.gan.frechet import Features
from robustcnn.train.gan.metrics import GanMetrics
from robustcnn.train.gan.settings import GanConfig
from robustcnn.train.gan.training import GanTraining


def pretrain(
    generator: Generator,
    discriminator: PixelModel,
    data: ResidentDataset,
    config: GanConfig | None = None,
    *,
    folder: Path | None = None,
    resume: bool = False,
    features: Features | None = None,
    precision: WideRange = "fp32",
    progress: bool = True,
    ranks: Ranks = ALONE,
) -> Iterator[GanMetrics]:
    """Train both networks on the images of `data`, whose labels are never looked at, yielding every epoch's metrics.

    With a `folder`, each epoch ends in a checkpoint there, written before its metrics are yielded. `resume` goes on
    from that checkpoint and gives, on a CPU, the very weights of a training that was never interrupted.
    `features` are what the Frechet distance is measured in: `random_features`, or those of a classifier. `ranks` are
    the processes that train together (`joined`); the first of them alone writes.
    """
    if resume and folder is None:
        raise ValueError("resume needs the folder that holds the checkpoint")
    training = ranks.each(
        lambda: GanTraining(
            generator,
            discriminator,
            data,
            config or GanConfig(),
            features=features,
            precision=precision,
            progress=progress,
            ranks=ranks,
        )
    )
    try:
        training.take_over()
        if folder is not None and resume:
            gan_checkpoint.restore(folder, training)
        while not training.finished:
            metrics = training.epoch()
            if folder is not None:
                ranks.first(partial(gan_checkpoint.save, folder, training))
            yield metrics
    finally:
        training.release()
