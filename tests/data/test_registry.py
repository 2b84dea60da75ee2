from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from robustcnn.data import DataConfig, Splits, available, load
from robustcnn.data.data_config import NAMES
from robustcnn.data.registry import SOURCES
from robustcnn.data.resident import spec_of


def test_digits_are_the_default_in_three_parts() -> None:
    train, validation, test = load("digits")
    assert [len(part) for part in (train, validation, test)] == [1294, 144, 359]
    assert [part.name for part in (train, validation, test)] == ["digits/train", "digits/validation", "digits/test"]
    assert load(DataConfig()).train.fingerprint == train.fingerprint


@pytest.mark.parametrize("options", [{}, {"limit": 100}, {"classes": ("3", "8")}, {"size": 16}], ids=str)
def test_all_parts_carry_the_spec_of_what_is_trained_on(options: dict[str, Any]) -> None:
    train, validation, test = load("digits", **options)
    assert train.spec == validation.spec == test.spec == spec_of(train.images, train.classes)


def test_the_parts_are_disjoint_and_complete() -> None:
    parts = load("digits")
    pictures = [image.numpy().tobytes() for part in parts for image in part.images]
    assert len(pictures) == 1797
    assert len(set(pictures)) == 1797


def test_the_seed_chooses_the_validation_part_and_leaves_the_test_part() -> None:
    first, again, other = load("digits", seed=1), load("digits", seed=1), load("digits", seed=2)
    assert [part.fingerprint for part in first] == [part.fingerprint for part in again]
    assert first.validation.fingerprint != other.validation.fingerprint
    assert first.test.fingerprint == other.test.fingerprint


def test_a_limit_takes_a_stratified_part_of_the_training_examples_alone() -> None:
    everything, limited = load("digits"), load("digits", limit=130)
    assert len(limited.train) == 130
    assert (limited.train.counts - everything.train.counts * 130 / 1294).abs().max() < 1
    assert limited.validation.fingerprint == everything.validation.fingerprint
    assert limited.test.fingerprint == everything.test.fingerprint
    assert len(load("digits", limit=10_000).train) == 1294


def test_validation_is_the_share_asked_for() -> None:
    assert len(load("digits", validation=0.25).validation) == round(0.25 * 1438)


def test_options_override_a_config() -> None:
    config = DataConfig(name="digits", classes=("1", "7"))
    assert load(config, size=16).train.spec.shape == (1, 16, 16)
    assert load(config).train.classes == ("1", "7")


def test_signs_are_drawn_in_the_number_and_size_asked_for(tmp_path: Path) -> None:
    train, validation, test = load("signs", root=tmp_path, drawn=120, size=48)
    assert [len(part) for part in (train, validation, test)] == [108, 12, 24]
    assert train.spec.shape == (3, 48, 48)
    assert {"stop", "speed limit 45"} <= set(train.classes)


def test_splits_move_together() -> None:
    splits = load("digits", size=8)
    moved = splits.to("cpu")
    assert isinstance(moved, Splits)
    assert [part.fingerprint for part in moved] == [part.fingerprint for part in splits]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU")
def test_splits_are_the_same_on_a_gpu() -> None:
    splits = load("digits", size=8)
    moved = splits.to("cuda")
    assert all(part.device.type == "cuda" for part in moved)
    assert [part.fingerprint for part in moved] == [part.fingerprint for part in splits]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("digit", r"unknown data set 'digit' \(did you mean 'digits'\?\); known: digits, signs, "),
        ("fer2103", r"unknown data set 'fer2103' \(did you mean 'fer2013'\?\)"),
        ("zebra", r"unknown data set 'zebra'; known: digits, .*, npz:PATH, folder:PATH"),
        ("npz:", "unknown data set 'npz:'"),
        ("mnist:here", "unknown data set 'mnist:here'"),
        ("", "unknown data set ''"),
    ],
)
def test_an_unknown_name_lists_the_known_ones(name: str, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        DataConfig(name=name)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"validation": 0.0}, "validation must lie strictly between 0 and 1, got 0"),
        ({"validation": 10}, "validation must lie strictly between 0 and 1, got 10"),
        ({"limit": 0}, "limit must be at least 1, got 0"),
        ({"size": 0}, "size must be at least 1, got 0"),
        ({"drawn": 4}, "drawn must be at least 5, got 4"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        DataConfig(**options)


def test_a_set_too_small_to_validate_says_so(tmp_path: Path) -> None:
    images, labels = np.zeros((4, 2, 2), np.uint8), np.array([0, 1, 0, 1])
    path = tmp_path / "four.npz"
    np.savez(path, train_images=images, train_labels=labels, test_images=images, test_labels=labels)
    with pytest.raises(
        ValueError, match=r"validation=0.1 of the 4 examples of npz:.* leaves 4 to train and 0 to validate"
    ):
        load(f"npz:{path}")


def test_the_root_is_the_option_else_the_environment_else_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ROBUSTCNN_DATA", str(tmp_path / "variable"))
    with pytest.raises(FileNotFoundError, match=f"{tmp_path}/option/fer2013.csv"):
        load("fer2013", root=tmp_path / "option")
    with pytest.raises(FileNotFoundError, match=f"{tmp_path}/variable/fer2013.csv"):
        load("fer2013")
    monkeypatch.delenv("ROBUSTCNN_DATA")
    with pytest.raises(FileNotFoundError, match=f"{tmp_path}/home/.cache/robustcnn/fer2013.csv"):
        load("fer2013")


def test_the_list_says_what_is_here_and_how_to_get_the_rest(tmp_path: Path) -> None:
    assert [entry.name for entry in available(tmp_path)] == list(SOURCES)
    listed = {entry.name: entry for entry in available(tmp_path)}
    assert listed["digits"].present
    assert listed["signs"].present
    assert not any(listed[name].present for name in ("mnist", "fashion-mnist", "cifar10", "fer2013"))
    command = f"`robustcnn data --data.name mnist --data.root {tmp_path} --data.download`"
    assert listed["mnist"].hint == command
    assert "Kaggle" in listed["fer2013"].hint


def test_the_list_finds_what_lies_in_the_root(tmp_path: Path) -> None:
    for name in ("cifar10.npz", "mine.npz", "MNIST/raw/train-images-idx3-ubyte.gz"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    present = {entry.name for entry in available(tmp_path) if entry.present}
    embedded = {"digits", "signs", "faces"}
    elsewhere = {"npz:PATH", "folder:PATH", "torchvision:NAME", "hf:PATH", "MODULE:FUNCTION"}
    assert present == {*embedded, *elsewhere, "cifar10", "mnist", "npz:mine.npz"}


def test_the_names_and_the_registry_agree() -> None:
    assert tuple(SOURCES) == NAMES


def test_every_option_is_explained() -> None:
    source = Path(load.__code__.co_filename).with_name("data_config.py").read_text()
    for field in fields(DataConfig):
        lines = source.splitlines()
        (at,) = [number for number, line in enumerate(lines) if line.startswith(f"    {field.name}: ")]
        assert lines[at + 1].strip().startswith('"""'), field.name
