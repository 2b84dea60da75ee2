"""Networks, data sets and attacks of installed packages, found by their entry points."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from robustcnn.data import load
from robustcnn.data import registry as data_sets
from robustcnn.evaluate import suites
from robustcnn.models import MODELS, build

MODELS_MODULE = """
from torch import nn
from robustcnn.models import register

@register("installed-net", smallest=4)
def net(spec, outputs, *, width=1.0):
    return nn.Sequential(nn.Flatten(), nn.Linear(spec.channels * spec.height * spec.width, outputs))
"""
DATA_MODULE = """
import numpy as np
from robustcnn.data import ResidentDataset, register

@register("installed-data")
def stripes(config, root):
    images = np.zeros((200, 8, 8), np.uint8)
    images[::2, ::2], images[1::2, :, ::2] = 200, 200
    data = ResidentDataset.from_arrays(images, [0, 1] * 100, classes=["down", "across"])
    return data.subset(150), data.subset(50)
"""
ATTACKS_MODULE = """
from dataclasses import dataclass
from robustcnn.evaluate.suites import register

@dataclass(frozen=True, kw_only=True)
class Nothing:
    def __call__(self, model, images, labels, threat, *, generator=None):
        return images

register("installed_attack", Nothing)
"""


def install(folder: Path, name: str, groups: dict[str, str]) -> None:
    """What pip leaves of a package: its modules, and beside them what it promises."""
    told = folder / f"{name}-1.0.dist-info"
    told.mkdir(parents=True)
    (told / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = [f"[robustcnn.{group}]\nmine = {name}_{group}\n" for group in groups]
    (told / "entry_points.txt").write_text("\n".join(lines))
    for group, content in groups.items():
        (folder / f"{name}_{group}.py").write_text(content)


@pytest.fixture
def as_before() -> Iterator[None]:
    registries = (MODELS, data_sets.SOURCES, suites.ATTACKS)
    before = [dict(each) for each in registries]
    yield
    for registry, names in zip(registries, before, strict=True):
        registry.clear()
        registry.update(names)
    for module in [name for name in sys.modules if name.startswith("installed")]:
        del sys.modules[module]


@pytest.mark.usefixtures("as_before")
def test_an_installed_package_adds_networks_data_sets_and_attacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, "installed", {"models": MODELS_MODULE, "data": DATA_MODULE, "attacks": ATTACKS_MODULE})
    monkeypatch.syspath_prepend(tmp_path)
    splits = load("installed-data")
    assert splits.test.classes == ("down", "across")
    assert build("installed-net", splits.train.spec).config.name == "installed-net"
    assert repr(suites.attack_named("installed_attack")) == "Nothing()"


@pytest.mark.usefixtures("as_before")
def test_a_package_that_cannot_be_loaded_is_named_with_the_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, "installed_broken", {"data": "import nothing_of_this_name"})
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match=r"the plug-in installed_broken_data cannot be loaded: .* .uninstall or mend"):
        load("nobody-knows")
    assert len(load("digits", size=8).test) == 359
