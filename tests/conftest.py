"""What tests of all rooms share: tiny data sets, and the folder of real ones where there is one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from robustcnn.core import runtime
from robustcnn.data.resident import ResidentDataset, spec_of

UNPACK = Path(__file__).parents[2] / "shared" / "data" / "unpack.py"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What takes an hour is left out unless it is asked for by its marker; files with slow tests come first.

    Else one process would be left with a long test while the others have nothing to do.
    """
    # Whole files, whose tests share what they have trained; notebooks take longest of all.
    slow = {item.path for item in items if item.get_closest_marker("slow") or item.path.suffix == ".ipynb"}
    items.sort(key=lambda item: item.path not in slow)
    if "soak" in config.getoption("-m"):
        return
    left = {item for item in items if item.get_closest_marker("soak")}
    config.hook.pytest_deselected(items=list(left))
    items[:] = [item for item in items if item not in left]


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    """Tiny models are fastest on one thread, and much so when the machine is busy."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True, scope="session")
def with_bf16() -> Iterator[None]:
    """What is tested in bf16 is tested in bf16, also on a processor that would be better off without."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runtime, "_has", lambda *_: True)
        yield


def make_tiny(
    *, channels: int, count: int = 60, classes: tuple[str, ...] = ("left", "middle", "right")
) -> ResidentDataset:
    """Noise of 12x12 pixels with one bright bar that tells the class: a linear model can learn it."""
    generator = torch.Generator().manual_seed(7)
    labels = torch.arange(count) % len(classes)
    images = torch.randint(0, 100, (count, channels, 12, 12), generator=generator, dtype=torch.uint8)
    width = 12 // len(classes)
    for image, label in zip(images, labels.tolist(), strict=True):
        image[:, :, label * width : (label + 1) * width] += 120
    return ResidentDataset(images=images, labels=labels, spec=spec_of(images, classes), name="tiny")


@pytest.fixture
def tiny() -> ResidentDataset:
    """60 grey images of 12x12 pixels, 20 of each of three classes."""
    return make_tiny(channels=1)


@pytest.fixture
def tiny_colour() -> ResidentDataset:
    """The same in colour."""
    return make_tiny(channels=3)


@pytest.fixture(scope="session")
def real_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of real data sets; a test that needs it skips where there is none."""
    root = Path(os.environ.get("ROBUSTCNN_DATA") or "~/.cache/robustcnn").expanduser()
    if any((root / part).exists() for part in ("MNIST", "FashionMNIST", "cifar10.npz", "fer2013.csv")):
        return root
    if not UNPACK.is_file():
        pytest.skip(f"no real data in {root} (ROBUSTCNN_DATA says where it is), and none beside the checkout")
    unpacked = tmp_path_factory.mktemp("data")
    done = subprocess.run([sys.executable, UNPACK, unpacked], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"the data beside the checkout cannot be unpacked: {(done.stderr or done.stdout).strip()[-200:]}")
    return unpacked
