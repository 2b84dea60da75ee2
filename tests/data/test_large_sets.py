"""Pictures that do not fit stay in a file or on the host: the same batches, and memory that does not grow with them."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from robustcnn.core import roomy
from robustcnn.core.runtime import seeded
from robustcnn.data import Augment, DataConfig, load, storage
from robustcnn.data.resident import ResidentDataset, spec_of
from robustcnn.models import ModelConfig, build
from robustcnn.train import FitConfig, fit


def write(folder: Path, train: int, test: int, side: int = 12) -> Path:
    draw = np.random.default_rng(0)
    folder.mkdir(exist_ok=True)
    for part, count in (("train", train), ("test", test)):
        np.save(folder / f"{part}_images.npy", draw.integers(0, 256, (count, side, side, 3), dtype=np.uint8))
        np.save(folder / f"{part}_labels.npy", np.arange(count) % 4)
    return folder


@pytest.fixture
def few_bytes_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (roomy, storage):
        monkeypatch.setattr(module, "LARGE", 1000)


@pytest.mark.usefixtures("few_bytes_are_many")
def test_a_mapped_set_is_the_set_that_is_read(tmp_path: Path) -> None:
    folder = write(tmp_path / "mapped", 90, 30)
    arrays = {path.stem: np.load(path) for path in folder.glob("*.npy")}
    np.savez(tmp_path / "read.npz", **arrays)
    mapped, read = (load(DataConfig(name=f"npz:{tmp_path / name}")) for name in ("mapped", "read.npz"))
    for ours, expected in zip(mapped, read, strict=True):
        assert ours.home == torch.device("cpu")
        assert ours.spec == expected.spec
        assert ours.fingerprint == expected.fingerprint
        augment = Augment(mirror=True, shift=2)
        shown = [
            list(each.batches(16, generator=seeded(3), transform=augment, drop_last=True)) for each in (ours, expected)
        ]
        for (images, labels), (others, theirs) in zip(*shown, strict=True):
            torch.testing.assert_close(images, others, atol=1e-6, rtol=0)
            assert torch.equal(labels, theirs)
        plain = [torch.cat([images for images, _ in each.batches(7)]) for each in (ours, expected)]
        assert torch.equal(*plain)


@pytest.mark.usefixtures("few_bytes_are_many")
def test_a_training_from_a_file_ends_at_the_same_weights(tmp_path: Path) -> None:
    splits = load(DataConfig(name=f"npz:{write(tmp_path / 'mapped', 120, 8)}"))
    found = []
    for home in (torch.device("cpu"), None):
        train, validation = (
            replace(part, images=part.images.contiguous(), home=home) for part in (splits.train, splits.validation)
        )
        torch.manual_seed(0)
        model = build(ModelConfig(name="smallcnn", width=0.1), train.spec)
        list(fit(model, train, validation, FitConfig(epochs=2, batch_size=32), progress=False))
        found.append(model.state_dict())
    assert all(torch.equal(value, found[1][name]) for name, value in found[0].items())


def test_what_is_too_large_for_a_gpu_stays_on_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    images = torch.zeros(10, 1, 8, 8, dtype=torch.uint8)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (1000, 2000))
    assert not storage.fits(images, torch.device("cuda"))
    assert storage.fits(images[:5], torch.device("cuda"))
    assert storage.fits(images, torch.device("cpu"))


def test_a_small_part_of_what_stayed_behind_comes_along() -> None:
    images = torch.randint(256, (20, 1, 8, 8), dtype=torch.uint8)
    spec = spec_of(images, ("a", "b"))
    data = ResidentDataset(images=images, labels=torch.arange(20) % 2, spec=spec, home=torch.device("cpu"))
    assert data.subset(5).home is None
    assert torch.equal(data.subset(5).images, images[:5])


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda folder: (folder / "test_labels.npy").unlink(), r"test_labels\.npy: not a file"),
        (lambda folder: (folder / "train_images.npy").write_bytes(b"no array"), r"train_images\.npy: "),
        (lambda folder: np.save(folder / "train_images.npy", np.zeros((90, 12))), "must be uint8"),
        (lambda folder: np.save(folder / "train_labels.npy", np.arange(3)), "labels"),
    ],
)
def test_a_spoilt_folder_is_refused_by_name(spoil: object, says: str, tmp_path: Path) -> None:
    folder = write(tmp_path / "mapped", 90, 30)
    spoil(folder)  # type: ignore[operator]
    with pytest.raises(ValueError, match=says):
        load(DataConfig(name=f"npz:{folder}"))


MANY = """
import resource, sys
resource.setrlimit(resource.RLIMIT_DATA, (2 << 30, 2 << 30))
import torch
from robustcnn import DataConfig, FitConfig, load, build, fit
from robustcnn.models import ModelConfig
torch.set_num_threads(1)
train, validation, test = load(DataConfig(name="npz:" + sys.argv[1]))
model = build(ModelConfig(name="logistic"), train.spec)
list(fit(model, train, validation, FitConfig(epochs=1, batch_size=512), progress=False))
print(len(train), train.images.nbytes)
"""


@pytest.mark.slow
def test_two_hundred_thousand_images_stream_through_two_gibibytes(tmp_path: Path) -> None:
    folder, count = write(tmp_path / "many", 8, 1000, side=64), 200_000
    drawn = np.random.default_rng(0).integers(0, 256, (1000, 64, 64, 3), dtype=np.uint8)
    images = np.lib.format.open_memmap(folder / "train_images.npy", "w+", np.uint8, (count, 64, 64, 3))
    for start in range(0, count, 1000):
        images[start : start + 1000] = drawn
    images.flush()
    del images
    np.save(folder / "train_labels.npy", np.arange(count) % 4)
    done = subprocess.run(
        [sys.executable, "-c", MANY, str(folder)], capture_output=True, text=True, timeout=500, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    trained, size = map(int, done.stdout.split()[-2:])
    assert trained == 180_000
    assert size > 2 << 30
