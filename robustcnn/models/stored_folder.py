"""A checkpoint is data: safetensors files and one JSON page that names them; loading runs no code from it.

Every file is written under another name first and the page is replaced last, in one step. Whenever a process dies, the
page on disk names files that are whole.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Generic, TypeVar

import safetensors
import safetensors.torch
from torch import Tensor, nn

from robustcnn.core.atomic_files import is_plain_name, write_atomically
from robustcnn.core.json_files import read_json
from robustcnn.core.plain_data import from_plain, shown, to_plain


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredFile:
    """A file beside the page, and the digest that its bytes must have."""

    name: str
    sha256: str

    def __post_init__(self) -> None:
        if not is_plain_name(self.name):
            raise ValueError(f"name must be that of a file beside the page, got {shown(self.name)}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """What every page says."""

    version: int


P = TypeVar("P", bound=Page)


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredFolder(Generic[P]):
    """A kind of checkpoint folder."""

    kind: type[P]
    page: str
    """The page's file name."""
    version: int
    """Of the layout; a page of another version is refused."""
    what: str
    """What such a folder holds."""
    absent: str
    """What to say of a folder without the page, and who writes one."""

    def write(self, folder: Path, page: P) -> None:
        """Make the files that the page names the checkpoint, then remove those that only the page before it named."""
        before = self._named_before(folder)
        write_atomically(folder / self.page, json.dumps(to_plain(page), indent=1).encode())
        for name in sorted(before - {stored.name for stored in _files(page)}):
            (folder / name).unlink(missing_ok=True)

    def tidy(self, folder: Path, *kinds: str, before: int) -> None:
        """Remove the files of earlier epochs that a process left when it died between the page and their removal."""
        kept = {stored.name for stored in _files(self.read(folder))}
        for name in (numbered(kind, epoch) for kind in kinds for epoch in range(1, before)):
            if name not in kept:
                (folder / name).unlink(missing_ok=True)

    def _named_before(self, folder: Path) -> set[str]:
        """The files of the page that is there now; none of one that cannot be read: nobody else's file is removed."""
        try:
            return {stored.name for stored in _files(self.read(folder))}
        except (OSError, ValueError):
            return set()

    def read(self, folder: Path | str) -> P:
        """The page, every key checked."""
        path = Path(folder) / self.page
        if not path.is_file():
            raise FileNotFoundError(f"{folder} {self.absent.format(page=self.page)}")
        plain = read_json(path)
        version = plain.get("version") if isinstance(plain, dict) else None
        if isinstance(version, int) and version != self.version:
            raise ValueError(f"{path} is of version {version}, this robustcnn reads version {self.version}")
        try:
            return from_plain(self.kind, plain)
        except (ValueError, TypeError) as problem:
            told = f"{path} does not describe a {self.what} of version {self.version}: {problem}"
            raise ValueError(told) from None

    def tensors(self, folder: Path | str, stored: StoredFile) -> dict[str, Tensor]:
        """The tensors of a file whose bytes are still the ones that were written."""
        path = Path(folder) / stored.name
        if not path.is_file():
            raise FileNotFoundError(
                f"{path} is missing, but {path.with_name(self.page)} names it (was the folder copied only in part?)"
            )
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != stored.sha256:
            raise ValueError(
                f"{path} is damaged: its bytes do not match the digest in {self.page} (copy the folder again)"
            )
        try:
            tensors: dict[str, Tensor] = safetensors.torch.load(content)
        except safetensors.SafetensorError as problem:
            raise ValueError(f"{path} holds no tensors: {problem} (copy the folder again)") from None
        return tensors

    def fill(self, module: nn.Module, folder: Path | str, stored: StoredFile) -> None:
        """Give the module the tensors of that file, which must be its own, each of its shape."""
        tensors, wanted = self.tensors(folder, stored), module.state_dict()
        for name in sorted(wanted.keys() | tensors.keys()):
            has, wants = (str(tuple(each[name].shape)) if name in each else "none" for each in (tensors, wanted))
            if has != wants:
                raise ValueError(
                    f"{Path(folder) / stored.name} does not fit the network that {self.page} describes: its {name} is "
                    f"{has}, the network wants {wants} (copy the folder again)"
                )
        module.load_state_dict(tensors)


def numbered(kind: str, epoch: int) -> str:
    """The name of a file that belongs to an epoch."""
    return f"{kind}-{epoch:04d}.safetensors"


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> StoredFile:
    """Store named tensors; gives what the page has to say of them."""
    content = safetensors.torch.save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
    write_atomically(path, content)
    return StoredFile(name=path.name, sha256=hashlib.sha256(content).hexdigest())


def _files(page: Any) -> Iterator[StoredFile]:
    values = (getattr(page, field.name) for field in fields(page))
    return (value for value in values if isinstance(value, StoredFile))
