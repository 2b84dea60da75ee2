from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import Any

import pytest
import torchvision.datasets.utils as torchvision_utils

from robustcnn.data.registry import load
from robustcnn.data.sets.download import archives, download


class Web:
    """Stands in for the network: serves any MNIST file, unless the address is dead."""

    def __init__(self, *dead: str) -> None:
        self.dead = dead
        self.asked: list[str] = []

    def __call__(self, url: str, folder: Path, *, filename: str, md5: str, remove_finished: bool) -> None:
        assert len(md5) == 32
        assert remove_finished
        self.asked.append(url)
        if any(name in url for name in self.dead):
            raise RuntimeError("File not found or corrupted.")
        folder.mkdir(parents=True, exist_ok=True)
        count = 40 if "train" in filename else 20
        shape = (count, 28, 28) if "images" in filename else (count,)
        body = bytes(number % 10 for number in range(count)) if len(shape) == 1 else bytes(count * 784)
        header = bytes((0, 0, 8, len(shape))) + struct.pack(f">{len(shape)}I", *shape)
        (folder / filename).write_bytes(gzip.compress(header + body))


def online(monkeypatch: pytest.MonkeyPatch, *dead: str) -> Web:
    web = Web(*dead)
    monkeypatch.setattr(torchvision_utils, "download_and_extract_archive", web)
    return web


@pytest.mark.parametrize(
    ("name", "folder", "count"),
    [("mnist", "MNIST/raw", 4), ("fashion-mnist", "FashionMNIST/raw", 4), ("cifar10", ".", 1)],
)
def test_every_archive_has_an_address_a_checksum_and_torchvisions_place(
    tmp_path: Path, name: str, folder: str, count: int
) -> None:
    found = list(archives(name, tmp_path))
    assert len(found) == count
    for archive in found:
        assert archive.folder == tmp_path / folder
        assert len(archive.md5) == 32
        assert archive.urls
        assert all(url.endswith(archive.name) for url in archive.urls)


def test_nothing_is_fetched_unless_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    web = online(monkeypatch)
    with pytest.raises(FileNotFoundError, match=r"get it with `robustcnn data --data.name mnist"):
        load("mnist", root=tmp_path)
    assert web.asked == []


def test_what_is_absent_is_fetched_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    web = online(monkeypatch)
    assert [len(part) for part in load("mnist", root=tmp_path, download=True)] == [36, 4, 20]
    assert len(web.asked) == 4
    load("mnist", root=tmp_path, download=True)
    assert len(web.asked) == 4


def test_the_next_mirror_is_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, *_ = next(archives("mnist", tmp_path)).urls
    web = online(monkeypatch, first.rpartition("/")[0])
    download("mnist", tmp_path)
    assert web.asked[:2] == [first, second]


def test_without_a_network_the_error_says_what_was_tried_and_the_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    online(monkeypatch, "http")
    text = rf"cifar10 could not be downloaded \(https.*corrupted.*\); check the network, or bring .* in {tmp_path}"
    with pytest.raises(ConnectionError, match=text):
        load("cifar10", root=tmp_path, download=True)


@pytest.mark.parametrize("name", ["fer2013", "npz:nowhere.npz", "folder:nowhere"])
def test_what_cannot_be_fetched_stays_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: Any) -> None:
    online(monkeypatch)
    with pytest.raises(FileNotFoundError, match="is absent"):
        load(name, root=tmp_path, download=True)
