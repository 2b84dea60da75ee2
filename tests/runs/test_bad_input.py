"""What a user may hand over by mistake or by malice ends in one line that names it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from robustcnn import ImageSpec, build
from robustcnn.cli.main import main
from robustcnn.models import checkpoint
from robustcnn.models.stored_folder import write_tensors
from robustcnn.report.gallery import read_gallery


def mistake(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 2) -> str:
    assert main(list(arguments)) == status
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert len(told) < 900
    return told


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a = " + "[" * 3000, "nested too deeply"),
        ("a." * 3000 + "b = 1", "--config"),
        ("x" * (1 << 21), "a config has at most"),
        ("\udcff", "is not TOML"),
        ("[fit]\nepochs = " + "9" * 5000, "is not TOML"),
        ("name = '..'", "name must be a plain folder name"),
        ("model = []", "model must be a table"),
        ("[model]\nwidth = 1e9", "width multiplies the channels and must be at most 1,000"),
        ("[data]\nseed = 99999999999999999999999", "seed must be a whole number of at most 64 bits"),
    ],
)
def test_a_bad_config_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, said: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_bytes(content.encode(errors="surrogateescape"))
    assert said in mistake(capsys, "train", "--config", str(path), "--runs", str(tmp_path), "--no-track")


def test_a_config_that_is_a_pipe_or_a_folder_is_not_waited_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path):
        assert "is no file" in mistake(capsys, "train", "--config", str(path))


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def make(:\n", "importing user_module ends in SyntaxError"),
        ("import sys\nsys.exit(3)\n", "importing user_module ends in SystemExit: 3"),
        ("1 / 0\n", "importing user_module ends in ZeroDivisionError: division by zero"),
        ("def make():\n    raise RuntimeError('two\\nlines')\n", "calling it ends in RuntimeError: two lines"),
        ("def make():\n    exit()\n", "calling it ends in SystemExit"),
        ("def make():\n    return make()\n", "calling it ends in RecursionError"),
    ],
)
def test_a_users_module_that_fails_is_named_with_the_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], source: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, "user_module", raising=False)
    Path("user_module.py").write_text(source)
    told = mistake(capsys, "evaluate", "user_module:make")
    assert said in told
    assert "user_module.py, line" in told


def test_weights_that_are_no_numbers_reach_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from PIL import Image

    spec = ImageSpec(channels=1, height=8, width=8, classes=("a", "b"), mean=(0.5,), std=(0.2,))
    model, folder = build("logistic", spec), tmp_path / "run"
    spoilt = {name: torch.full_like(tensor, float("nan")) for name, tensor in model.state_dict().items()}
    stored = write_tensors(folder / "weights-0001.safetensors", spoilt)
    page = checkpoint.Checkpoint(
        version=1, model=model.config, spec=spec, best=stored, last=stored, training=stored, fit={}, data="", history=()
    )
    checkpoint.STORED.write(folder, page)
    Image.new("L", (8, 8), 99).save(tmp_path / "a.png")
    told = mistake(capsys, "attack", str(tmp_path / "a.png"), "--model", str(folder), "--out", str(tmp_path / "out"))
    assert "not made of numbers" in told
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", [b"", b"no tensors", b"\xff" * 64])
def test_a_gallery_that_is_none_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "gallery.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match=r"gallery.safetensors holds no pictures of an evaluation"):
        read_gallery(tmp_path / "gallery.safetensors")
