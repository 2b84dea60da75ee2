"""A classifier on disk.

checkpoint.json               what the model is, its history, and which files hold the best and the last weights
weights-0007.safetensors      weights as they are judged (averaged ones where averaging is on)
training-0007.safetensors     what only a continued training needs: optimiser state, unaveraged weights
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from robustcnn.core.results import EpochMetrics
from robustcnn.core.spec import ImageSpec
from robustcnn.models import ModelConfig, PixelModel, build
from robustcnn.models.stored_folder import Page, StoredFile, StoredFolder

PAGE = "checkpoint.json"
Which = Literal["best", "last"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint(Page):
    """The page of a checkpoint folder."""

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


STORED = StoredFolder(
    kind=Checkpoint,
    page=PAGE,
    version=1,
    what="checkpoint",
    absent="is no checkpoint: it has no {page} (`robustcnn train` writes one)",
)


def read_page(folder: Path | str) -> Checkpoint:
    """The page of a checkpoint folder, every key checked."""
    return STORED.read(folder)


def load(folder: Path | str, *, which: Which = "best") -> PixelModel:
    """The trained model, in evaluation mode on the CPU."""
    page = read_page(folder)
    model = build(page.model, page.spec)
    STORED.fill(model, folder, page.best if which == "best" else page.last)
    return model.eval()
