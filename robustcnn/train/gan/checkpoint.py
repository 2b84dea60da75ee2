"""A GAN on disk: a folder of safetensors files and one JSON page that names them, written as a classifier's is.

gan.json                            what the networks are, their history, and which files hold them
generator-0007.safetensors          after the last finished epoch
discriminator-0007.safetensors      the same
gan-training-0007.safetensors       what only a continued training needs: the state of both optimisers
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from robustcnn.core.plain_data import to_plain
from robustcnn.core.spec import ImageSpec
from robustcnn.models import PixelModel
from robustcnn.models.dcgan import DcganConfig, Generator, discriminator
from robustcnn.models.stored_folder import Page, StoredFile, StoredFolder, numbered, write_tensors
from robustcnn.train.gan.metrics import GanMetrics
from robustcnn.train.gan.settings import GanConfig
from robustcnn.train.gan.training import GanTraining
from robustcnn.train.resume import completed, refuse_changes

PAGE = "gan.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class GanCheckpoint(Page):
    """The page of a pre-training's folder."""

    model: DcganConfig
    spec: ImageSpec
    generator: StoredFile
    discriminator: StoredFile
    training: StoredFile
    fit: dict[str, Any]
    """The training's config, as plain data."""
    data: str
    """Fingerprint of the training data."""
    history: tuple[GanMetrics, ...]


STORED = StoredFolder(
    kind=GanCheckpoint,
    page=PAGE,
    version=1,
    what="pre-training",
    absent="holds no pre-training: it has no {page} (`robustcnn pretrain` writes one)",
)


def save(folder: Path, training: GanTraining) -> None:
    """Make the state after the last epoch the one to resume from, then remove what the page no longer names."""
    number = len(training.history)

    def write(what: str, tensors: dict[str, Tensor]) -> StoredFile:
        return write_tensors(folder / numbered(what, number), tensors)

    page = GanCheckpoint(
        version=STORED.version,
        model=training.generator.config,
        spec=training.discriminator.spec,
        generator=write("generator", training.generator.state_dict()),
        discriminator=write("discriminator", training.discriminator.state_dict()),
        training=write("gan-training", _optimizer_state(training)),
        fit=to_plain(training.config),
        data=training.data.fingerprint,
        history=training.history,
    )
    STORED.write(folder, page)


def restore(folder: Path, training: GanTraining) -> None:
    """Put the training where the folder's checkpoint left it."""
    page, state = training.ranks.first(lambda: _filled(folder, training))
    training.take_over()
    for name, optimizer in training.optimizers.items():
        mine = {key: tensor.to(training.data.device) for key, tensor in state.items() if key.startswith(f"{name}.")}
        optimizer.load_state({key.removeprefix(f"{name}."): tensor for key, tensor in mine.items()})
    training.history = page.history
    if training.ranks.leads:
        STORED.tidy(folder, "generator", "discriminator", "gan-training", before=len(page.history))


def _filled(folder: Path, training: GanTraining) -> tuple[GanCheckpoint, dict[str, Tensor]]:
    """With the networks' weights in place; gives the page and the optimisers' state."""
    page = read_page(folder)
    refuse_changes(completed(page.fit, to_plain(GanConfig())), to_plain(training.config), folder)
    refuse_changes(to_plain(page.model), to_plain(training.generator.config), folder, "model.")
    if page.data != training.data.fingerprint:
        raise ValueError(f"cannot resume {folder}: it was trained on other data than these")
    STORED.fill(training.generator, folder, page.generator)
    STORED.fill(training.discriminator, folder, page.discriminator)
    return page, STORED.tensors(folder, page.training)


def read_page(folder: Path | str) -> GanCheckpoint:
    """The page of a pre-training's folder, every key checked."""
    return STORED.read(folder)


def load_discriminator(folder: Path | str) -> PixelModel:
    """The trained discriminator, in evaluation mode on the CPU."""
    page = read_page(folder)
    net = discriminator(page.spec, page.model)
    STORED.fill(net, folder, page.discriminator)
    return net.eval()


def load_generator(folder: Path | str) -> Generator:
    """The trained generator, in evaluation mode on the CPU."""
    page = read_page(folder)
    net = Generator(page.spec, page.model)
    STORED.fill(net, folder, page.generator)
    return net.eval()


def _optimizer_state(training: GanTraining) -> dict[str, torch.Tensor]:
    return {
        f"{name}.{key}": tensor
        for name, optimizer in training.optimizers.items()
        for key, tensor in optimizer.state().items()
    }
