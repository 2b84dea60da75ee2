"""Every snippet of README and docs runs, and every command is one that the command line understands.

`test_commands.py` runs the commands.
"""

from __future__ import annotations

import ast
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from forked import run_script
from snippets import PAGES, ROOT, commands_of, place, python_of

from robustcnn.cli.main import main

WITH_PYTHON = [page for page in PAGES if python_of(page)]
SHORTER = {
    "docs/dcgan.md": {"epochs=20": "epochs=1"},
    "docs/physical.md": {"RP2()": "RP2(steps=2)"},
}
"""What is made smaller where a page's snippet takes minutes."""
GIVEN = {
    "docs/certify.md": """
from robustcnn import ThreatModel, build, load
test, threat = load("digits").test, ThreatModel(norm="linf", eps=0.01)
model, (images, labels) = build("mlp", test.spec, seed=0).eval(), next(test.batches(4))
""",
    "docs/dcgan.md": """
from pathlib import Path
from robustcnn import load
data = load("digits").train.subset(200)
""",
    "docs/panda.md": """
from pathlib import Path
import torch
from torchvision import models
path = Path("squeezenet.pth")
torch.save(models.squeezenet1_0().state_dict(), path)
""",
    "docs/physical.md": """
import torch
from robustcnn import PGD, ThreatModel, build, seeded
from robustcnn.attacks import RP2, Through, two_bars
from robustcnn.core.spec import ImageSpec
from robustcnn.data import Street, front_view
from robustcnn.evaluate import sticker_score
spec = ImageSpec(channels=3, height=32, width=32, classes=tuple("abcdef"), mean=(0.5,) * 3, std=(0.25,) * 3)
images, labels = torch.rand(2, 3, 32, 32, generator=seeded(0)), torch.tensor([0, 1])
model, threat = build("smallcnn", spec, width=0.25, seed=0).eval(), ThreatModel(norm="linf", eps=0.01)
""",
    "docs/transfer.md": """
from robustcnn import FitConfig, fit, load
from robustcnn.cli.main import main
assert main(["train", "digits-quick", "--name", "RUN", "--epochs", "1", "--no-track"]) == 0
train, validation, _ = load("digits")
""",
    "docs/your-model.md": """
import torch
from torch import nn
images = torch.rand(40, 3, 8, 8)
net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2)).eval()
labels = net(images).argmax(1)
""",
}
"""What a page takes from its reader."""
STAND_INS = {"RUN": "mine", "MODEL": "mine", "IMAGE": "picture.png"}


def imports(blocks: list[str]) -> list[tuple[str, str]]:
    found = [node for block in blocks for node in ast.walk(ast.parse(block)) if isinstance(node, ast.ImportFrom)]
    return [(node.module or "", alias.name) for node in found for alias in node.names]


@pytest.mark.parametrize("page", WITH_PYTHON, ids=place)
def test_every_name_that_a_snippet_imports_is_there(page: Path) -> None:
    for module, name in imports(python_of(page)):
        if module.startswith("robustcnn"):
            assert hasattr(import_module(module), name) or import_module(f"{module}.{name}"), f"{module} has no {name}"


@pytest.mark.slow
@pytest.mark.parametrize("page", WITH_PYTHON, ids=place)
def test_the_snippets_of_a_page_run_from_top_to_bottom(page: Path, tmp_path: Path) -> None:
    text = "\n".join([GIVEN.get(place(page), ""), *python_of(page)])
    for long, short in SHORTER.get(place(page), {}).items():
        assert long in text
        text = text.replace(long, short)
    script = tmp_path / "snippets.py"
    script.write_text(text)
    done = run_script(script, folder=tmp_path)
    assert done.status == 0, done.stderr[-2000:]


class Understood(BaseException):
    """The command got as far as its work."""


@pytest.fixture
def nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every verb's work is replaced by the news that it was understood."""

    def stop(*_: Any, **__: Any) -> None:
        raise Understood

    for place_of_work in (
        "robustcnn.cli.training_verbs.runs.train",
        "robustcnn.cli.training_verbs.runs.resume",
        "robustcnn.cli.training_verbs.sources_model",
        "robustcnn.cli.training_verbs.run_sweep",
        "robustcnn.cli.training_verbs.pretraining.pretrain_run",
        "robustcnn.cli.training_verbs.pretraining.resume",
        "robustcnn.cli.evaluate_verb.evaluate_list",
        "robustcnn.runs.compare.compare",
        "robustcnn.runs.demo.demo",
        "robustcnn.cli.attack_verb.attack_pictures",
        "robustcnn.cli.mlflow_page.serve",
        "robustcnn.cli.mlflow_page.promote",
        "robustcnn.cli.mlflow_page.sync",
        "robustcnn.cli.look.load",
    ):
        monkeypatch.setattr(place_of_work, stop)
    monkeypatch.setattr("robustcnn.cli.evaluate_verb.find", lambda *_, **__: SimpleNamespace(trained=None))
    monkeypatch.setattr("robustcnn.cli.mlflow_page.told_runs", lambda *_: [Path("mine")])


COMMANDS = [
    pytest.param(page, words, id=f"{place(page)}: {' '.join(words)}") for page in PAGES for words in commands_of(page)
]


@pytest.mark.usefixtures("nothing_is_done")
@pytest.mark.parametrize(("page", "words"), COMMANDS)
def test_every_command_is_understood(
    page: Path, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.toml").write_text("[fit]\nepochs = 2\n")
    words = [STAND_INS.get(word.rstrip("."), word) for word in words if word != "[OPTIONS]"]
    try:
        status = main(words)
    except Understood:
        return
    except SystemExit as end:
        status = int(end.code or 0)
    assert status == 0, capsys.readouterr().err


def test_the_readme_is_short_and_its_picture_small() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 120
    assert (ROOT / "docs" / "picture.png").stat().st_size < 150_000
