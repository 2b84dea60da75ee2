"""Files made to exhaust, to hang or to run code: each is refused in one line that names it, and quickly."""

from __future__ import annotations

import gzip
import io
import os
import struct
import time
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from robustcnn.data.registry import DataConfig, load
from robustcnn.data.sets.idx import read_idx
from robustcnn.data.sets.npz import read_npz
from robustcnn.data.sets.picture import read_picture

IMAGES = np.random.default_rng(0).integers(0, 256, (12, 4, 4), dtype=np.uint8)
LABELS = np.arange(12) % 3


@pytest.fixture(autouse=True)
def _bounded() -> Iterator[None]:
    """No trap may cost more than two seconds of work, or 64 MB."""
    tracemalloc.start()
    start = time.process_time()
    yield
    spent, (_, most) = time.process_time() - start, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert spent < 2
    assert most < 64e6


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def npz(path: Path, *, compression: int = zipfile.ZIP_DEFLATED, **changes: np.ndarray | bytes) -> Path:
    """A sound file but for the changes, arrays or the bytes of a member."""
    arrays = {"train_images": IMAGES, "train_labels": LABELS, "test_images": IMAGES, "test_labels": LABELS}
    with zipfile.ZipFile(path, "w", compression) as archive:
        for key, value in (arrays | changes).items():
            archive.writestr(f"{key}.npy", value if isinstance(value, bytes) else npy(value))
    return path


def announcing(shape: str, dtype: str = "|u1", rest: bytes = b"") -> bytes:
    """An array's head that promises this shape, and what really follows."""
    head = f"{{'descr': {dtype!r}, 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + rest


def refused(read: Callable[[Path], object], path: Path, said: str) -> None:
    with pytest.raises(ValueError, match=said) as found:
        read(path)
    assert str(path) in str(found.value)
    assert "\n" not in str(found.value)
    assert len(str(found.value)) < 700


@pytest.mark.parametrize("label", [2**64 - 1, 2_000_000_000, 1_000_000, 65_536])
def test_a_huge_label_is_refused_before_names_are_made(tmp_path: Path, label: int) -> None:
    labels = np.array([label, *range(11)], np.uint64)
    refused(read_npz, npz(tmp_path / "a.npz", train_labels=labels), "labels must lie in 0..65,535")


def test_equal_class_names_are_refused(tmp_path: Path) -> None:
    path = npz(tmp_path / "a.npz", classes=np.array(["cat", "dog", "cat"]))
    refused(read_npz, path, "classes must have different names, got 'cat' 2 times")


@pytest.mark.parametrize(
    ("member", "said"),
    [
        (announcing("(1000000000000, 64, 64)"), "which its .* bytes are not; the file is damaged"),
        (announcing("(-1, 4, 4)"), "the file is damaged"),
        (announcing("(4, 4, 4)", rest=bytes(10)), "the file is damaged"),
        (announcing("(4, 4, 4)", "|O", rest=bytes(512)), "Python objects are refused"),
        (announcing("(4, " * 2000), "a.npz"),
        (b"not an array", "a.npz"),
        (b"", "a.npz"),
    ],
    ids=["giant", "negative", "short", "objects", "nested", "text", "empty"],
)
def test_an_array_that_lies_about_itself_is_refused(tmp_path: Path, member: bytes, said: str) -> None:
    refused(read_npz, npz(tmp_path / "a.npz", train_images=member), said)


def test_a_bomb_is_refused_by_what_it_announces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("robustcnn.core.memory.most_bytes", lambda: 10_000_000)
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for key, value in {"train_labels": LABELS, "test_images": IMAGES, "test_labels": LABELS}.items():
            archive.writestr(f"{key}.npy", npy(value))
        with archive.open("train_images.npy", "w") as file:
            file.write(announcing("(1200, 200, 200)"))
            for _ in range(1200):
                file.write(bytes(40_000))
    assert path.stat().st_size < 100_000
    refused(read_npz, path, r"would take 48,\d+,\d+ bytes, at most 10,000,000 are taken here")


def test_an_encrypted_or_strangely_packed_archive_is_refused(tmp_path: Path) -> None:
    sound = npz(tmp_path / "sound.npz").read_bytes()
    at = sound.index(b"PK\x01\x02")
    for name, offset, value in (("method", 10, 77), ("encrypted", 8, 1), ("version", 6, 200)):
        content = bytearray(sound)
        content[at + offset] = value
        path = tmp_path / f"{name}.npz"
        path.write_bytes(content)
        refused(read_npz, path, "npz")


def test_flipped_bytes_are_refused_or_read_but_never_worse(tmp_path: Path) -> None:
    sound = npz(tmp_path / "sound.npz").read_bytes()
    path = tmp_path / "flipped.npz"
    for place in range(0, len(sound), 5):
        content = bytearray(sound)
        content[place] ^= 0xFF
        path.write_bytes(content)
        try:
            read_npz(path)
        except ValueError as problem:
            assert str(path) in str(problem)  # noqa: PT017


def test_pipes_and_devices_are_refused_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    for name in ("pipe", "zero"):
        refused(read_npz, tmp_path / name, "not a file")
        refused(lambda path: read_picture(path, around=32), tmp_path / name, "a pipe or a device")


def test_an_idx_bomb_is_read_as_far_as_its_head_announces(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "images.gz", "wb", compresslevel=1) as file:
        file.write(bytes((0, 0, 8, 1)) + struct.pack(">I", 10))
        for _ in range(120):
            file.write(bytes(1 << 20))
    refused(lambda path: read_idx(path, dimensions=1, command="CURE"), tmp_path / "images", "expected 18 bytes, found")


def test_an_idx_head_that_announces_too_much_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "images"
    path.write_bytes(bytes((0, 0, 8, 3)) + struct.pack(">3I", *[2**32 - 1] * 3))
    refused(lambda path: read_idx(path, dimensions=3, command="CURE"), path, "as its head says, would take")


def test_a_picture_that_would_start_another_program_is_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def started(*_: object, **__: object) -> None:
        pytest.fail("a program was started")

    monkeypatch.setattr("subprocess.check_call", started)
    monkeypatch.setattr("subprocess.Popen", started)
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n(x) run\n%%EOF\n"
    for name in ("a.eps", "a.png"):
        (tmp_path / name).write_bytes(eps)
        refused(lambda path: read_picture(path, around=32), tmp_path / name, "PNG, JPEG, BMP, GIF, WEBP, TIFF are read")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF"])
def test_every_kind_that_is_named_is_read(tmp_path: Path, kind: str) -> None:
    Image.new("RGB", (5, 4), (255, 0, 0)).save(tmp_path / "a", kind)
    assert read_picture(tmp_path / "a", around=4).size == (5, 4)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"name": "digits", "size": 100_000}, "size must be at most 8,192 pixels a side, got 100,000"),
        ({"name": "signs", "drawn": 10**15}, "would take .* bytes, at most"),
        ({"name": "digits", "seed": 10**25}, "seed must be a whole number of at most 64 bits"),
    ],
)
def test_sizes_beyond_any_machine_are_refused_at_once(options: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        load(DataConfig(**options))  # type: ignore[arg-type]
