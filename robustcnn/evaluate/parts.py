"""An evaluation on disk, piece by piece, so that one that was stopped goes on where it was.

plan.json              what the pieces depend on
A-T-B.safetensors      what attack A found in ball T for block B, as judged
A-T-B.under-way        how far a long search for it has come
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from robustcnn.core.atomic_files import remove_partials, write_atomically
from robustcnn.core.snapshots import Snapshots
from robustcnn.evaluate.judging import Tries

PAGE = "plan.json"
UNDER_WAY = ".under-way"
"""Ends the name of a piece that is not finished."""


def is_begun(folder: Path | None) -> bool:
    """Whether some of the work of this folder is done."""
    return folder is not None and any(folder.glob("*.safetensors"))


def snapshots_in(folder: Path, plan: str, name: str, rows: Tensor) -> Snapshots:
    """Where a piece of that plan is written down, whoever makes it."""
    key = hashlib.sha256(f"{plan} {name} {rows.tolist()}".encode()).hexdigest()
    return Snapshots(folder / f"{name}{UNDER_WAY}", key)


def sees(folder: Path, plan: str) -> bool:
    """Whether this is the folder of that very plan: on another machine a path may lead elsewhere."""
    try:
        return (folder / PAGE).read_text() == plan
    except (OSError, UnicodeDecodeError):
        return False


class Parts:
    """The pieces of one evaluation; without a folder nothing is kept."""

    def __init__(self, folder: Path | None, page: Mapping[str, Any]) -> None:
        self.folder, self.plan = folder, json.dumps(page, indent=1)
        if folder is None:
            return
        remove_partials(folder)
        if (folder / PAGE).exists():
            _refuse_another(folder, page)
        else:
            write_atomically(folder / PAGE, self.plan.encode())

    def fetch(self, name: str, rows: Tensor, make: Callable[[], Tries]) -> Tries:
        """The piece of this name, about these examples: from the disk where it is whole, else made, and kept."""
        tries = self.find(name, rows)
        if tries is None:
            tries = make()
            self.keep(name, rows, tries)
        return tries

    def find(self, name: str, rows: Tensor) -> Tries | None:
        """The piece of this name, about these examples, where it is whole."""
        return None if self.folder is None else self._read(self._path(self.folder, name), rows)

    def keep(self, name: str, rows: Tensor, tries: Tries) -> None:
        """Have it found from now on."""
        if self.folder is not None:
            self._write(self._path(self.folder, name), rows, tries)
            (self.folder / f"{name}{UNDER_WAY}").unlink(missing_ok=True)

    def tensors(self, name: str, make: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        """The same for tensors of any kind."""
        if self.folder is None:
            return make()
        path = self._path(self.folder, name)
        found = self._load(path)
        if found is None:
            found = make()
            self._store(path, found)
        return found

    def snapshots(self, name: str, rows: Tensor) -> Snapshots | None:
        """Where a piece that is being made is written down."""
        return None if self.folder is None else snapshots_in(self.folder, self.plan, name, rows)

    @staticmethod
    def _path(folder: Path, name: str) -> Path:
        return folder / f"{name}.safetensors"

    def _write(self, path: Path, rows: Tensor, tries: Tries) -> None:
        tensors = {
            "images": tries.images.contiguous(),
            "logits": tries.logits.contiguous(),
            "kept": tries.kept,
            "seconds": torch.tensor(tries.seconds, dtype=torch.float64),
            "rows": rows.clone(),
        }
        if tries.queries is not None:
            tensors["queries"] = tries.queries
        self._store(path, tensors)

    def _store(self, path: Path, tensors: dict[str, Tensor]) -> None:
        content = safetensors.torch.save(tensors, metadata={"digest": self._digest(path, tensors)})
        write_atomically(path, content)

    def _read(self, path: Path, rows: Tensor) -> Tries | None:
        tensors = self._load(path)
        if tensors is None or not torch.equal(tensors.pop("rows"), rows):
            return None
        return Tries(seconds=tensors.pop("seconds").item(), **tensors)

    def _load(self, path: Path) -> dict[str, Tensor] | None:
        try:
            with safetensors.safe_open(path, framework="pt") as file:
                digest = file.metadata()["digest"]
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (OSError, safetensors.SafetensorError, KeyError, TypeError):
            return None
        return tensors if digest == self._digest(path, tensors) else None

    def _digest(self, path: Path, tensors: Mapping[str, Tensor]) -> str:
        """Of the piece, its place and the plan: one that was put here from elsewhere is none of this evaluation's."""
        digest = hashlib.sha256(f"{self.plan} {path.name}".encode())
        for name, tensor in sorted(tensors.items()):
            digest.update(f"{name} {tuple(tensor.shape)}".encode())
            digest.update(tensor.numpy().tobytes())
        return digest.hexdigest()


def _refuse_another(folder: Path, ours: Mapping[str, Any]) -> None:
    try:
        theirs = json.loads((folder / PAGE).read_text())
        there = {key: theirs.get(key) for key in ours}
    except (ValueError, AttributeError) as problem:
        raise ValueError(f"{folder / PAGE} is no plan of an evaluation: {problem} (choose another folder)") from None
    for key, value in ours.items():
        if there[key] != value:
            raise ValueError(
                f"folder {folder} holds another evaluation, with {key} = {there[key]!r} instead of {value!r} "
                "(choose another folder, or remove that one)"
            )
