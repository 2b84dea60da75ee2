"""Fetches the published files of a set, each checked against its md5; torchvision knows the addresses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple


class Archive(NamedTuple):
    """One file to fetch and unpack."""

    folder: Path
    name: str
    md5: str
    urls: tuple[str, ...]


def download(name: str, root: Path) -> None:
    """Put `mnist`, `fashion-mnist` or `cifar10` into the root, laid out as torchvision would."""
    for archive in archives(name, root):
        _fetch(name, archive)


def archives(name: str, root: Path) -> Iterator[Archive]:
    """What has to be fetched for a set."""
    from torchvision import datasets

    if name == "cifar10":
        cifar = datasets.CIFAR10
        yield Archive(root, cifar.filename, cifar.tgz_md5, (cifar.url,))
        return
    kind: Any = {"mnist": datasets.MNIST, "fashion-mnist": datasets.FashionMNIST}[name]
    mirrors = [kind.mirrors] if isinstance(kind.mirrors, str) else kind.mirrors
    for file, md5 in kind.resources:
        yield Archive(root / kind.__name__ / "raw", file, md5, tuple(mirror + file for mirror in mirrors))


def _fetch(name: str, archive: Archive) -> None:
    """From the first address that works."""
    from torchvision.datasets.utils import download_and_extract_archive

    problems = []
    for url in archive.urls:
        try:
            download_and_extract_archive(
                url, archive.folder, filename=archive.name, md5=archive.md5, remove_finished=True
            )
            return
        except (RuntimeError, OSError) as problem:
            problems.append(f"{url}: {problem}")
    raise ConnectionError(
        f"{name} could not be downloaded ({'; '.join(problems)}); "
        f"check the network, or bring {archive.name} from another machine and unpack it in {archive.folder}"
    )
