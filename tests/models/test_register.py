"""Networks, data sets and attacks of other packages: by a name, also in another process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from robustcnn.core.spec import ImageSpec
from robustcnn.models import MODELS, build, register

SPEC = ImageSpec(channels=1, height=8, width=8, classes=("a", "b"), mean=(0.5,), std=(0.25,))
PLUGIN = """
import numpy as np
from dataclasses import dataclass
from torch import nn
from robustcnn.data import ResidentDataset
from robustcnn.data import register as register_data
from robustcnn.evaluate.suites import register as register_attack
from robustcnn.models import register


@register("mine", smallest=4)
def mine(spec, outputs, *, width=1.0):
    return nn.Sequential(nn.Conv2d(spec.channels, int(8 * width), 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(outputs))


@register_data("stripes")
def stripes(config, root):
    images = np.zeros((200, 8, 8), np.uint8)
    images[::2, ::2], images[1::2, :, ::2] = 200, 200
    data = ResidentDataset.from_arrays(images, [0, 1] * 100, classes=["down", "across"])
    return data.subset(150), data.subset(50)


@dataclass(frozen=True, kw_only=True)
class Nothing:
    def __call__(self, model, images, labels, threat, *, generator=None):
        return images


register_attack("nothing", Nothing)
"""


@pytest.fixture
def clean() -> Iterator[None]:
    before = dict(MODELS)
    yield
    MODELS.clear()
    MODELS.update(before)


@pytest.mark.usefixtures("clean")
def test_a_registered_network_is_built_with_its_own_first_weights() -> None:
    @register("constant")
    def constant(spec: ImageSpec, outputs: int, *, width: float = 1.0) -> nn.Module:
        net = nn.Sequential(nn.Flatten(), nn.Linear(64, outputs))
        nn.init.constant_(net[1].weight, width)
        return net

    model = build("constant", SPEC, width=3.0)
    assert torch.all(model.net[1].weight == 3)
    with pytest.raises(ValueError, match="constant has no option 'dropout'"):
        build("constant", SPEC, dropout=0.5)
    register("constant")(constant)
    with pytest.raises(ValueError, match="name 'lenet5' is taken by another network"):
        register("lenet5")(constant)
    with pytest.raises(ValueError, match="name must consist of letters"):
        register("my net")


def test_an_unknown_network_is_told_how_it_becomes_known() -> None:
    with pytest.raises(ValueError, match=r"unknown model 'mine'.*robustcnn.models.register.*ROBUSTCNN_PLUGINS"):
        build("mine", SPEC)


@pytest.mark.slow
def test_what_a_plug_in_adds_trains_is_loaded_again_and_is_attacked(tmp_path: Path) -> None:
    (tmp_path / "plug.py").write_text(PLUGIN)

    def run(*words: str, plugins: str = "plug") -> subprocess.CompletedProcess[str]:
        environment = {"ROBUSTCNN_PLUGINS": plugins, "PYTHONPATH": f"{Path(__file__).parents[2]}:{tmp_path}"}
        return subprocess.run(
            [sys.executable, "-m", "robustcnn", *words],
            cwd=tmp_path,
            env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "OMP_NUM_THREADS": "1", **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    train = ["train", "--data.name", "stripes", "--model.name", "mine", "--name", "own", "--no-track", "--epochs", "2"]
    trained = run(*train)
    assert trained.returncode == 0, trained.stderr
    judged = run("evaluate", "own", "--attacks", "nothing", "--no-track", "--no-checks")
    assert judged.returncode == 0, judged.stderr
    stranger = run("evaluate", "own", "--no-track", plugins="")
    assert stranger.returncode == 2
    assert "unknown data set 'stripes'" in stranger.stderr
    stranger = run("evaluate", "own", "--no-track", "--data.name", "digits", plugins="")
    assert "run.json: unknown data set 'stripes'" in stranger.stderr
    broken = run("evaluate", "own", "--no-track", plugins="nosuch")
    assert "ROBUSTCNN_PLUGINS names 'nosuch', which cannot be imported" in broken.stderr
