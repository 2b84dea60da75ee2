"""A checkpoint is data: a folder of safetensors files and one JSON page that names them; loading runs no code from it.

    checkpoint.json               what the model is, its history, and which files hold the best and the last weights
    weights-0007.safetensors      weights as they are judged (averaged ones where averaging is on)
    training-0007.safetensors     what only a continued training needs: optimiser state, unaveraged weights

Every file is written under another name first and the page is replaced last, in one step. Whenever a process dies, the
page on disk names files that are whole.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import safetensors
import safetensors.torch
from torch import Tensor

from robustcnn.core.atomic_files import write_atomically
from robustcnn.core.plain_data import from_plain, to_plain
from robustcnn.core.results import EpochMetrics
from robustcnn.core.spec import ImageSpec
from robustcnn.models import ModelConfig, PixelModel, build

VERSION = 1
"""Of the layout; a page of another version is refused."""
PAGE = "checkpoint.json"
Which = Literal["best", "last"]


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredFile:
    """A file beside the page, and the digest that its bytes must have."""

    name: str
    sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """The page of a checkpoint folder."""

    version: int
    model: ModelConfig
    spec: ImageSpec
    best: StoredFile
    last: StoredFile
    training: StoredFile
    fit: dict[str, Any]
    """The training's config, as plain data."""
    data: str
    """Fingerprint of the training data."""
    history: tuple[EpochMetrics, ...]


def write_page(
    folder: Path,
    *,
    model: PixelModel,
    best: StoredFile,
    last: StoredFile,
    training: StoredFile,
    fit: dict[str, Any],
    data: str,
    history: tuple[EpochMetrics, ...],
) -> None:
    """Make these files the checkpoint, then remove the ones it no longer names."""
    page = Checkpoint(
        version=VERSION,
        model=model.config,
        spec=model.spec,
        best=best,
        last=last,
        training=training,
        fit=fit,
        data=data,
        history=history,
    )
    write_atomically(folder / PAGE, json.dumps(to_plain(page), indent=1).encode())
    kept = {best.name, last.name, training.name}
    for path in folder.glob("*.safetensors*"):
        if path.name not in kept:
            path.unlink(missing_ok=True)


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> StoredFile:
    """Store named tensors; gives what the page has to say of them."""
    content = safetensors.torch.save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
    write_atomically(path, content)
    return StoredFile(name=path.name, sha256=hashlib.sha256(content).hexdigest())


def read_tensors(folder: Path, stored: StoredFile, *, page: str = PAGE) -> dict[str, Tensor]:
    """The tensors of a file whose bytes are still the ones that were written."""
    path = folder / stored.name
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing, but {folder / page} names it (was the folder copied only in part?)"
        )
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != stored.sha256:
        raise ValueError(f"{path} is damaged: its bytes do not match the digest in {page} (copy the folder again)")
    tensors: dict[str, Tensor] = safetensors.torch.load(content)
    return tensors


def read_page(folder: Path) -> Checkpoint:
    """The page of a checkpoint folder, every key checked."""
    path = folder / PAGE
    if not path.is_file():
        raise FileNotFoundError(f"{folder} is no checkpoint: it has no {PAGE} (`robustcnn train` writes one)")
    try:
        plain = json.loads(path.read_text())
    except ValueError as problem:
        raise ValueError(f"{path} is not JSON: {problem}") from None
    try:
        return from_plain(Checkpoint, plain)
    except (ValueError, TypeError) as problem:
        raise ValueError(f"{path} does not describe a checkpoint of version {VERSION}: {problem}") from None


def load(folder: Path | str, *, which: Which = "best") -> PixelModel:
    """The trained model, in evaluation mode on the CPU."""
    folder = Path(folder)
    page = read_page(folder)
    model = build(page.model, page.spec)
    model.load_state_dict(read_tensors(folder, page.best if which == "best" else page.last))
    return model.eval()
