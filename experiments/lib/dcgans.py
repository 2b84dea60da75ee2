"""What the experiments on DCGANs share: pre-trained pairs of networks that are kept, and splits of few labels."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from robustcnn import ResidentDataset, load
from robustcnn.core.runtime import global_seed, seeded
from robustcnn.data.registry import DataConfig
from robustcnn.models.dcgan import DcganConfig, Generator, discriminator
from robustcnn.runs.presets import GAN_PRESETS
from robustcnn.train.gan.checkpoint import PAGE
from robustcnn.train.gan.loop import pretrain
from robustcnn.train.gan.settings import GanConfig

BATCH = 64
RECIPES = {each.config.data.name: each.config.fit for each in GAN_PRESETS.values()}
"""How a DCGAN is trained on each data set, but for the epochs."""


class Labelled(NamedTuple):
    """The examples whose labels are known: most to train on, a fifth to pick the best epoch."""

    train: ResidentDataset
    validation: ResidentDataset


def labelled(data: str, count: int, seed: int) -> Labelled:
    """`count` labelled examples, or all of them for 0."""
    train, _, _ = load(DataConfig(name=data))
    known = train.sample(min(count, len(train)), generator=seeded(seed)) if count else train
    return Labelled(*known.split(0.2, generator=seeded(seed)))


def pretrained(folder: Path, data: str, *, width: float, steps: int, seed: int) -> Path:
    """The folder of a DCGAN that saw all training images of `data`; one that is there already is used again."""
    train, _, _ = load(DataConfig(name=data))
    recipe = RECIPES.get(data, GanConfig(batch_size=BATCH))
    epochs = epochs_of(steps, len(train), recipe.batch_size)
    place = folder / f"{data}-width-{width:g}-epochs-{epochs}-seed-{seed}"
    config = DcganConfig(width=width)
    with global_seed(seed):
        pair = Generator(train.spec, config), discriminator(train.spec, config)
    settings = replace(recipe, epochs=epochs, seed=seed, samples=min(500, len(train)))
    list(pretrain(*pair, train, settings, folder=place, resume=(place / PAGE).is_file(), progress=False))
    return place


def epochs_of(steps: int, examples: int, batch: int = BATCH) -> int:
    """So many passes that there are about `steps` steps."""
    return max(1, round(steps / math.ceil(examples / batch)))
