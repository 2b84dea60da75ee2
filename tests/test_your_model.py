"""What the README and its page say of models and data of one's own, line by line."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from robustcnn.cli.main import main
from robustcnn.core.runtime import seeded

README = Path(__file__).parents[1] / "README.md"
SECTION = re.search(r"## Your model, your data\n(.*?)\n## ", README.read_text(), re.DOTALL)[1]  # type: ignore[index]
PAGE = README.parent / "docs" / "your-model.md"
CODE = re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)[1]  # type: ignore[index]
COMMANDS = [line.strip().split("    ")[0] for line in SECTION.splitlines() if line.startswith("    robustcnn ")]
MODULE = """
from torch import nn
def make():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2)).eval()
"""
DATA = """
import numpy as np
held = np.load("pictures.npz")
def parts():
    return (held["train_images"], held["train_labels"]), (held["test_images"], held["test_labels"])
"""


def picture_file(path: Path) -> None:
    generator = np.random.default_rng(0)
    arrays: dict[str, Any] = {}
    for part, count in (("train", 40), ("test", 8)):
        arrays[f"{part}_images"] = generator.integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
        arrays[f"{part}_labels"] = np.arange(count) % 2
    np.savez(path, **arrays)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2)).eval()


def test_the_section_is_short() -> None:
    assert len(SECTION.strip().splitlines()) + 1 <= 25
    assert len(COMMANDS) == 3


def test_the_code_runs_as_it_stands(capsys: pytest.CaptureFixture[str]) -> None:
    images = torch.rand(40, 3, 8, 8, generator=seeded(0))
    net = network()
    names: dict[str, Any] = {"images": images, "net": net, "labels": net(images).argmax(1)}
    exec(CODE, names)  # noqa: S102
    assert float(capsys.readouterr().out) >= 1
    assert names["data"].classes == ("cat", "dog")


@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands_run_as_they_stand(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    picture_file(tmp_path / "pictures.npz")
    (tmp_path / "nets.py").write_text(MODULE)
    (tmp_path / "pictures.py").write_text(DATA)
    for name in ("nets", "pictures"):
        monkeypatch.delitem(__import__("sys").modules, name, raising=False)
    if "pt2:" in command:
        torch.export.save(torch.export.export(network(), (torch.rand(2, 3, 8, 8),)), tmp_path / "net.pt2")
    if "onnx:" in command:
        write_onnx(network(), tmp_path / "net.onnx")
    # The standard suite as it stands, but cheap.
    cheap = ["--suite", "quick", "--eps", "8/255", "--no-track", "--no-checks"]
    assert main([*shlex.split(command)[1:], *cheap]) == 0
    assert "clean accuracy" in capsys.readouterr().out


def test_the_command_that_certifies_a_smoothed_model_runs_as_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (PAGE.parent / "certify.md").read_text()
    command = re.search(r"robustcnn evaluate smooth:make.*", page)[0]  # type: ignore[index]
    monkeypatch.chdir(tmp_path)
    picture_file(tmp_path / "pictures.npz")
    made = MODULE.replace("return ", "return Smoothed(").replace(".eval()", ".eval(), sigma=0.25, seed=0)")
    (tmp_path / "smooth.py").write_text(f"from robustcnn.defences import Smoothed\n{made}")
    monkeypatch.delitem(__import__("sys").modules, "smooth", raising=False)
    cheap = ["--data.name", "npz:pictures.npz", "--suite", "quick", "--eps", "0.01", "--no-track", "--no-checks"]
    assert main([*shlex.split(command)[1:], *cheap]) == 0
    said = capsys.readouterr().out
    assert "probability 99.9 %, by 10,000 draws of noise of sigma 0.25" in said
    assert "proven robust, l2 0.01" in said


def write_onnx(net: Any, path: Path) -> None:
    from onnx import TensorProto, helper, numpy_helper, save

    values = {"w": net[0].weight, "b": net[0].bias, "v": net[3].weight, "c": net[3].bias}
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["m"], kernel_shape=[3, 3]),
        helper.make_node("Relu", ["m"], ["r"]),
        helper.make_node("Flatten", ["r"], ["f"]),
        helper.make_node("Gemm", ["f", "v", "c"], ["y"], transB=1),
    ]
    shapes = {"x": ["n", 3, 8, 8], "y": ["n", 2]}
    tensors = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    held = [numpy_helper.from_array(value.detach().numpy(), name) for name, value in values.items()]
    graph = helper.make_graph(nodes, "net", tensors[:1], tensors[1:], held)
    save(helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)]), str(path))
