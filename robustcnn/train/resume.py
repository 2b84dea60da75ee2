"""Keep a training on disk after every epoch, and pick it up again exactly there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from torch import Tensor

from robustcnn.core.plain_data import to_plain
from robustcnn.models.checkpoint import STORED, Checkpoint
from robustcnn.models.stored_folder import StoredFile, numbered, write_tensors
from robustcnn.train.settings import FitConfig
from robustcnn.train.training import Training


class Journal:
    """The checkpoint folder of one training."""

    def __init__(self, folder: Path, training: Training) -> None:
        self.folder, self.training = folder, training
        refuse_unkept(to_plain(training.config))
        self.best: StoredFile | None = None

    def save(self) -> None:
        """Make the state after the last epoch the one to resume from."""
        training, number = self.training, len(self.training.history)
        tensors = {f"optimizer.{name}": tensor for name, tensor in training.optimizer.state().items()}
        tensors |= {f"scale.{name}": tensor for name, tensor in training.descent.scale.state().items()}
        if training.averaged is not None:
            tensors |= {f"model.{name}": tensor for name, tensor in training.model.state_dict().items()}
        state = write_tensors(self.folder / numbered("training", number), tensors)
        with training.judged_weights():
            last = write_tensors(self.folder / numbered("weights", number), training.model.state_dict())
        if self.best is None or training.history[-1].best:
            self.best = last
        page = Checkpoint(
            version=STORED.version,
            model=training.model.config,
            spec=training.model.spec,
            best=self.best,
            last=last,
            training=state,
            fit=to_plain(training.config),
            data=training.train.fingerprint,
            history=training.history,
        )
        STORED.write(self.folder, page)

    def restore(self) -> None:
        """Put the training where the folder's checkpoint left it."""
        training = self.training
        page, best, last, state = training.ranks.first(self._read)
        device = training.train.device
        last, state = ({name: tensor.to(device) for name, tensor in each.items()} for each in (last, state))
        training.optimizer.load_state(_under("optimizer.", state))
        training.descent.scale.load_state(_under("scale.", state))
        training.model.load_state_dict(_under("model.", state) if training.averaged is not None else last)
        if training.averaged is not None:
            training.averaged.tensors = last
        training.best_weights = best
        training.history, self.best = page.history, page.best
        if training.ranks.leads:
            STORED.tidy(self.folder, "weights", "training", before=len(page.history))

    def _read(self) -> tuple[Checkpoint, dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]:
        page = STORED.read(self.folder)
        refuse_changes(completed(page.fit, to_plain(FitConfig())), to_plain(self.training.config), self.folder)
        if page.data != self.training.train.fingerprint:
            raise ValueError(f"cannot resume {self.folder}: it was trained on other data than these")
        best, last, state = (STORED.tensors(self.folder, each) for each in (page.best, page.last, page.training))
        return page, best, last, state


def refuse_unkept(plain: dict[str, Any], where: str = "") -> None:
    """A config is kept beside the weights, so all of it must be plain data; better said before the first epoch."""
    for key, value in plain.items():
        if isinstance(value, dict):
            refuse_unkept(value, f"{where}{key}.")
            continue
        try:
            json.dumps(value)
        except (TypeError, ValueError):
            raise ValueError(
                f"{where}{key} cannot be kept in a folder: {type(value).__name__} is no plain data and no dataclass "
                "of it (leave folder out, or make it a frozen dataclass)"
            ) from None


def _under(prefix: str, tensors: dict[str, Any]) -> dict[str, Any]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def completed(old: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """What an earlier version wrote, with the options that it did not have yet at their defaults."""
    tables = {key: completed(value, defaults.get(key) or {}) for key, value in old.items() if isinstance(value, dict)}
    return defaults | old | tables


def refuse_changes(old: dict[str, Any], new: dict[str, Any], folder: Path, where: str = "") -> None:
    """A resumed training keeps its config."""
    for key, value in new.items():
        if isinstance(value, dict) and isinstance(old.get(key), dict):
            refuse_changes(old[key], value, folder, f"{where}{key}.")
        elif old.get(key) != value:
            raise ValueError(
                f"cannot resume {folder}: it was started with {where}{key} = {old.get(key)!r}, not {value!r} "
                "(a resumed training keeps its config; start a new one to change it)"
            )
