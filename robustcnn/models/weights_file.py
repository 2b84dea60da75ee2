"""Files of weights as others publish them: read as data, never as code, and refused with the reason."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors file or of a torch file; neither can run code."""
    _check_kind(path)
    _check_digest(path)
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            found: Any = load_file(path)
        else:
            found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as problem:  # Of a dozen kinds, whatever the reader stumbles over first.
        reason = str(problem).splitlines()[0] if str(problem) else type(problem).__name__
        raise ValueError(
            f"{path}: cannot be read as weights; it is cut short or of another kind ({reason[:120]}); fetch it anew"
        ) from None
    if not isinstance(found, dict) or not all(isinstance(each, Tensor) for each in found.values()):
        raise ValueError(f"{path} must hold a state dict (names and tensors), got {_kind(found)}")
    return found


def digest_in(name: str) -> str | None:
    """The first digits of the file's sha256, which torchvision writes into its name."""
    found = re.search(r"-([0-9a-f]{8,64})\.", name)
    return found[1] if found else None


def _check_digest(path: Path) -> None:
    wanted = digest_in(path.name)
    if wanted is None:
        return
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if not digest.startswith(wanted):
        raise ValueError(
            f"{path}: its sha256 must start with {wanted}, as its name says, but starts with {digest[: len(wanted)]}: "
            f"the download was cut short or changed; fetch it anew"
        )


def _check_kind(path: Path) -> None:
    """Refuse what servers send instead of a file."""
    with path.open("rb") as file:
        head = file.read(200).lstrip().lower()
    if not head:
        raise ValueError(f"{path} is empty; fetch it anew")
    if head.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise ValueError(f"{path} is a web page, not weights: the server answered with an error page; fetch it anew")
    if head.startswith(b"version https://git-lfs"):
        raise ValueError(f"{path} is a Git LFS pointer, not weights; run git lfs pull")


def _kind(found: Any) -> str:
    if isinstance(found, dict):
        return f"a dictionary with {', '.join(map(str, list(found)[:4])) or 'nothing'} (pass its state dict alone)"
    return type(found).__name__
