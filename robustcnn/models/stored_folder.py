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
from torch import Tensor

from robustcnn.core.atomic_files import write_atomically
from robustcnn.core.plain_data import from_plain, to_plain


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredFile:
    """A file beside the page, and the digest that its bytes must have."""

    name: str
    sha256: str


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
        """Make the files that the page names the checkpoint, then remove the ones it no longer names."""
        write_atomically(folder / self.page, json.dumps(to_plain(page), indent=1).encode())
        kept = {stored.name for stored in _files(page)}
        for path in folder.glob("*.safetensors*"):
            if path.name not in kept:
                path.unlink(missing_ok=True)

    def read(self, folder: Path | str) -> P:
        """The page, every key checked."""
        path = Path(folder) / self.page
        if not path.is_file():
            raise FileNotFoundError(f"{folder} {self.absent.format(page=self.page)}")
        try:
            page = from_plain(self.kind, json.loads(path.read_text()))
        except json.JSONDecodeError as problem:
            raise ValueError(f"{path} {self._not_one}: it is not JSON: {problem}") from None
        except (ValueError, TypeError) as problem:
            raise ValueError(f"{path} {self._not_one}: {problem}") from None
        if page.version != self.version:
            raise ValueError(f"{path} is of version {page.version}, this robustcnn reads version {self.version}")
        return page

    @property
    def _not_one(self) -> str:
        return f"does not describe a {self.what} of version {self.version}"

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
        tensors: dict[str, Tensor] = safetensors.torch.load(content)
        return tensors


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> StoredFile:
    """Store named tensors; gives what the page has to say of them."""
    content = safetensors.torch.save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
    write_atomically(path, content)
    return StoredFile(name=path.name, sha256=hashlib.sha256(content).hexdigest())


def _files(page: Any) -> Iterator[StoredFile]:
    values = (getattr(page, field.name) for field in fields(page))
    return (value for value in values if isinstance(value, StoredFile))
