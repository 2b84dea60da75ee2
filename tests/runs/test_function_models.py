"""What a function of the user's returns is evaluated from the command line, however it was written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from robustcnn.cli.main import main
from robustcnn.runs.find_model import SourceConfig, find

MODULE = """
import torch
from torch import nn

class Beside(nn.Module):
    "An exported program, and a layer with two modes."
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        net = nn.Sequential(nn.Conv2d(1, 2, 3, stride=8), nn.ReLU(), nn.Flatten(), nn.Linear(32, 10)).eval()
        shapes = ({0: torch.export.Dim("n")},)
        self.net = torch.export.export(net, (torch.rand(3, 1, 32, 32),), dynamic_shapes=shapes).module()
        self.drop = nn.Dropout(0.9)

    def forward(self, images):
        return self.drop(self.net(images))

def beside():
    return Beside()

def bare():
    return Beside().net

def heads():
    class Heads(nn.Sequential):
        def forward(self, images):
            logits = super().forward(images)
            return {"aux": logits.mean(), "logits": logits}
    return Heads(nn.Flatten(), nn.Linear(1024, 10)).double()
"""
CHEAP = ["--attacks", "fgsm", "--count", "12", "--eps", "0.1", "--no-track", "--no-checks", "--threads", "1"]
CHEAP += ["--batch-size", "5", "--device", "cpu"]


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "functions_for_a_test.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "functions_for_a_test", raising=False)
    return tmp_path


@pytest.mark.parametrize("name", [pytest.param("beside", marks=pytest.mark.slow), "heads"])
def test_a_network_of_any_make_is_evaluated(written: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = torch.get_num_threads()
    try:
        assert main(["evaluate", f"functions_for_a_test:{name}", *CHEAP, "--runs", str(written)]) == 0
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
    assert "clean accuracy" in capsys.readouterr().out


@pytest.mark.usefixtures("written")
def test_an_exported_program_is_wrapped_for_normalised_pictures_too(tmp_path: Path) -> None:
    told = SourceConfig(mean=(0.5,), std=(0.25,))
    images = torch.rand(4, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    plain, normalised = (find("functions_for_a_test:bare", tmp_path, source=each).model for each in (None, told))
    torch.testing.assert_close(normalised(images), _answer(plain, (images - 0.5) / 0.25))
    assert not find("functions_for_a_test:beside", tmp_path).model.drop.training


def _answer(model: nn.Module, images: Tensor) -> Tensor:
    logits: Tensor = model(images)
    return logits


@pytest.mark.slow
def test_an_evaluation_without_checks_and_tracking_loads_no_library_that_it_has_no_use_for(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text(
        "from torch import nn\ndef make():\n    return nn.Sequential(nn.Flatten(), nn.Linear(1024, 10))\n"
    )
    code = (
        "import sys; from robustcnn.cli.main import main\n"
        f"status = main(['evaluate', 'one:make', *{CHEAP!r}])\n"
        "unused = 'mlflow sklearn pandas foolbox seaborn dask distributed torchvision torch._dynamo scipy.stats'\n"
        "print(status, [name for name in unused.split() if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 []"
