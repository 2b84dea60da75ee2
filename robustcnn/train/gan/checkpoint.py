"""A GAN on disk: a folder of safetensors files and one JSON page that names them, written as a classifier's is.

gan.json                            what the networks are, their history, and which files hold them
generator-0007.safetensors          after the last finished epoch
discriminator-0007.safetensors      the same
gan-training-0007.safetensors       what only a continued training needs: the state of both optimisers
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from robustcnn.core.atomic_files import write_atomically
from robustcnn.core.plain_data import from_plain, to_plain
from robustcnn.core.spec import ImageSpec
from robustcnn.models import PixelModel
from robustcnn.models.checkpoint import StoredFile, read_tensors, write_tensors
from robustcnn.models.dcgan import DcganConfig, Generator, discriminator
from robustcnn.train.gan.metrics import GanMetrics
from robustcnn.train.gan.training import GanTraining
from robustcnn.train.resume import refuse_changes

VERSION = 1
"""Of the layout; a page of another version is refused."""
PAGE = "gan.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class GanCheckpoint:
    """The page of a pre-training's folder."""

    version: int
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


def save(folder: Path, training: GanTraining) -> None:
    """Make the state after the last epoch the one to resume from, then remove what the page no longer names."""
    number = len(training.history)

    def write(what: str, tensors: dict[str, Tensor]) -> StoredFile:
        return write_tensors(folder / f"{what}-{number:04d}.safetensors", tensors)

    page = GanCheckpoint(
        version=VERSION,
        model=training.generator.config,
        spec=training.discriminator.spec,
        generator=write("generator", training.generator.state_dict()),
        discriminator=write("discriminator", training.discriminator.state_dict()),
        training=write("gan-training", _optimizer_state(training)),
        fit=to_plain(training.config),
        data=training.data.fingerprint,
        history=training.history,
    )
    write_atomically(folder / PAGE, json.dumps(to_plain(page), indent=1).encode())
    kept = {page.generator.name, page.discriminator.name, page.training.name}
    for path in folder.glob("*.safetensors*"):
        if path.name not in kept:
            path.unlink(missing_ok=True)


def restore(folder: Path, training: GanTraining) -> None:
    """Put the training where the folder's checkpoint left it."""
    page = read_page(folder)
    refuse_changes(page.fit, to_plain(training.config), folder)
    refuse_changes(to_plain(page.model), to_plain(training.generator.config), folder, "model.")
    if page.data != training.data.fingerprint:
        raise ValueError(f"cannot resume {folder}: it was trained on other data than these")
    training.generator.load_state_dict(_read(folder, page.generator))
    training.discriminator.load_state_dict(_read(folder, page.discriminator))
    state = _read(folder, page.training)
    for name, optimizer in training.optimizers.items():
        mine = {key: tensor.to(training.data.device) for key, tensor in state.items() if key.startswith(f"{name}.")}
        optimizer.load_state({key.removeprefix(f"{name}."): tensor for key, tensor in mine.items()})
    training.history = page.history


def read_page(folder: Path | str) -> GanCheckpoint:
    """The page of a pre-training's folder, every key checked."""
    path = Path(folder) / PAGE
    if not path.is_file():
        raise FileNotFoundError(f"{folder} holds no pre-training: it has no {PAGE} (`robustcnn pretrain` writes one)")
    try:
        page = from_plain(GanCheckpoint, json.loads(path.read_text()))
    except (ValueError, TypeError) as problem:
        raise ValueError(f"{path} does not describe a pre-training of version {VERSION}: {problem}") from None
    if page.version != VERSION:
        raise ValueError(f"{path} is of version {page.version}, this robustcnn reads version {VERSION}")
    return page


def load_discriminator(folder: Path | str) -> PixelModel:
    """The trained discriminator, in evaluation mode on the CPU."""
    page = read_page(folder)
    net = discriminator(page.spec, page.model)
    net.load_state_dict(_read(Path(folder), page.discriminator))
    return net.eval()


def load_generator(folder: Path | str) -> Generator:
    """The trained generator, in evaluation mode on the CPU."""
    page = read_page(folder)
    net = Generator(page.spec, page.model)
    net.load_state_dict(_read(Path(folder), page.generator))
    return net.eval()


def _read(folder: Path, stored: StoredFile) -> dict[str, Tensor]:
    return read_tensors(folder, stored, page=PAGE)


def _optimizer_state(training: GanTraining) -> dict[str, torch.Tensor]:
    return {
        f"{name}.{key}": tensor
        for name, optimizer in training.optimizers.items()
        for key, tensor in optimizer.state().items()
    }
