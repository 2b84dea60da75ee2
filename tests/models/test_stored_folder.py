"""A folder of tensors and the page that names them: only what is whole and its own is read, only its own removed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch

from robustcnn import ImageSpec, build
from robustcnn.models import checkpoint
from robustcnn.models.checkpoint import PAGE, STORED, Checkpoint
from robustcnn.models.stored_folder import StoredFile, numbered, write_tensors

SPEC = ImageSpec(channels=1, height=4, width=4, classes=("a", "b"), mean=(0.5,), std=(0.2,))


def kept(folder: Path, epoch: int = 1) -> Checkpoint:
    """A checkpoint of that epoch, written."""
    model = build("logistic", SPEC)
    weights, training = (
        write_tensors(folder / numbered(kind, epoch), model.state_dict()) for kind in ("weights", "training")
    )
    page = Checkpoint(
        version=1, model=model.config, spec=SPEC, best=weights, last=weights, training=training, fit={}, data="",
        history=(),
    )  # fmt: skip
    STORED.write(folder, page)
    return page


def test_a_foreign_file_in_the_folder_stays(tmp_path: Path) -> None:
    foreign = [tmp_path / name for name in ("mine.safetensors", "mine.safetensors.backup", "weights-best.safetensors")]
    for path in foreign:
        path.write_bytes(b"mine")
    kept(tmp_path, 1)
    page = kept(tmp_path, 2)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {PAGE, page.best.name, page.training.name, *(path.name for path in foreign)}


def test_what_a_death_left_of_earlier_epochs_is_removed_when_the_training_goes_on(tmp_path: Path) -> None:
    kept(tmp_path, 1)
    left = (tmp_path / numbered("training", 1)).read_bytes()
    kept(tmp_path, 3)
    (tmp_path / numbered("training", 1)).write_bytes(left)
    STORED.tidy(tmp_path, "weights", "training", before=3)
    assert {path.name for path in tmp_path.iterdir()} == {PAGE, numbered("weights", 3), numbered("training", 3)}


def spoilt(folder: Path, **changes: object) -> None:
    plain = json.loads((folder / PAGE).read_text())
    (folder / PAGE).write_text(json.dumps(plain | changes))


@pytest.mark.parametrize("name", ["../other.safetensors", "/etc/passwd", "..", ""])
def test_a_page_that_names_a_file_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    kept(tmp_path)
    spoilt(tmp_path, best={"name": name, "sha256": ""})
    with pytest.raises(ValueError, match="name must be that of a file beside the page"):
        checkpoint.load(tmp_path)


def test_a_page_of_another_version_is_refused(tmp_path: Path) -> None:
    kept(tmp_path)
    spoilt(tmp_path, version=2)
    with pytest.raises(ValueError, match=r"checkpoint.json is of version 2, this robustcnn reads version 1"):
        checkpoint.load(tmp_path)


@pytest.mark.parametrize("content", ["[]", "null", "{}", "3", '"x"', "[" * 3000, "{" * 3000, '{"version":' * 3000])
def test_a_page_that_is_none_is_one_line(tmp_path: Path, content: str) -> None:
    (tmp_path / PAGE).write_text(content)
    with pytest.raises(ValueError, match=r"checkpoint.json (does not describe|is not JSON|is nested)") as found:
        checkpoint.load(tmp_path)
    assert len(str(found.value)) < 500


def replaced(folder: Path, content: bytes) -> None:
    """Other weights under the right digest."""
    (folder / numbered("weights", 1)).write_bytes(content)
    stored = {"name": numbered("weights", 1), "sha256": hashlib.sha256(content).hexdigest()}
    spoilt(folder, best=stored, last=stored)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            safetensors.torch.save({"net.1.weight": torch.zeros(3, 16)}),
            "its mean is none, the network wants",
        ),
        (b"no tensors at all", "holds no tensors"),
        (b"", "holds no tensors"),
    ],
)
def test_weights_of_the_right_digest_and_another_form_are_one_line(tmp_path: Path, content: bytes, said: str) -> None:
    kept(tmp_path)
    replaced(tmp_path, content)
    with pytest.raises(ValueError, match=said) as found:
        checkpoint.load(tmp_path)
    assert "\n" not in str(found.value)


def test_a_stored_file_is_known_by_its_bytes() -> None:
    assert StoredFile(name="a", sha256="0") == StoredFile(name="a", sha256="0")


def test_the_weights_that_were_asked_for_are_loaded_to_be_judged(tmp_path: Path) -> None:
    page = kept(tmp_path)
    other = build("logistic", SPEC)
    torch.nn.init.constant_(other.net[-1].weight, 7.0)
    last = write_tensors(tmp_path / "weights-0002.safetensors", other.state_dict())
    STORED.write(tmp_path, replace(page, last=last))
    best, newest = (checkpoint.load(tmp_path, which=which) for which in ("best", "last"))
    assert not best.training
    assert not (best.net[-1].weight == 7).any()
    assert (newest.net[-1].weight == 7).all()


def test_tensors_of_another_shape_are_refused_before_any_is_taken(tmp_path: Path) -> None:
    kept(tmp_path)
    model = build("logistic", SPEC)
    name = next(name for name in model.state_dict() if name.endswith("weight"))
    content = safetensors.torch.save({**model.state_dict(), name: torch.zeros(3, 16)})
    replaced(tmp_path, content)
    with pytest.raises(ValueError, match=rf"its {name} is \(3, 16\), the network wants \(2, 16\)"):
        checkpoint.load(tmp_path)


def test_one_changed_byte_of_a_weight_is_noticed(tmp_path: Path) -> None:
    kept(tmp_path)
    path = tmp_path / numbered("weights", 1)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"weights-0001.safetensors is damaged: its bytes do not match the digest"):
        checkpoint.load(tmp_path)
