from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from robustcnn.data.registry import load
from robustcnn.data.sets.npz import read_npz

IMAGES = np.random.default_rng(0).integers(0, 256, (30, 6, 5, 3), dtype=np.uint8)
LABELS = np.arange(30) % 3


def write(path: Path, **changes: Any) -> Path:
    """A sound file but for the changes; None leaves an array out."""
    arrays = {"train_images": IMAGES, "train_labels": LABELS, "test_images": IMAGES[:6], "test_labels": LABELS[:6]}
    kept = {key: array for key, array in (arrays | changes).items() if array is not None}
    np.savez(path, **kept)
    return path


def test_colour_arrays_come_back_channels_first(tmp_path: Path) -> None:
    train, test = read_npz(write(tmp_path / "my.npz"))
    assert np.array_equal(train.images.numpy(), IMAGES.transpose(0, 3, 1, 2))
    assert train.labels.tolist() == LABELS.tolist()
    assert (len(test), train.classes) == (6, ("0", "1", "2"))


@pytest.mark.parametrize("grey", [IMAGES[..., 0], IMAGES[..., :1]], ids=["N,H,W", "N,H,W,1"])
def test_grey_arrays_have_one_channel(tmp_path: Path, grey: np.ndarray) -> None:
    train, _ = read_npz(write(tmp_path / "my.npz", train_images=grey, test_images=grey[:6]))
    assert np.array_equal(train.images[:, 0].numpy(), IMAGES[..., 0])


def test_names_label_columns_and_a_validation_part_are_taken_when_there(tmp_path: Path) -> None:
    path = write(
        tmp_path / "my.npz",
        classes=np.array(["cat", "dog", "bird", "fish"]),
        train_labels=LABELS[:, None].astype(np.uint8),
        val_images=IMAGES[:9],
        val_labels=LABELS[:9],
    )
    train, validation, test = load(f"npz:{path}")
    assert train.classes == ("cat", "dog", "bird", "fish")
    assert [len(train), len(validation), len(test)] == [30, 9, 6]


WORDS = np.array(["pear", "apple", "fig"])[LABELS]


@pytest.mark.parametrize(
    ("names", "classes"),
    [(None, ("apple", "fig", "pear")), (np.array(["pear", "apple", "fig", "plum"]), ("pear", "apple", "fig", "plum"))],
    ids=["in the order of letters", "in the order given"],
)
def test_labels_may_be_words(tmp_path: Path, names: np.ndarray | None, classes: tuple[str, ...]) -> None:
    train, test = read_npz(
        write(tmp_path / "my.npz", train_labels=WORDS, test_labels=WORDS[1:3], test_images=IMAGES[1:3], classes=names)
    )
    assert train.classes == test.classes == classes
    assert [classes[label] for label in train.labels] == WORDS.tolist()
    assert [classes[label] for label in test.labels] == ["apple", "fig"]


def test_words_beside_numbers_and_words_that_are_no_class_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="train_labels are words and test_labels numbers"):
        read_npz(write(tmp_path / "mixed.npz", train_labels=WORDS))
    with pytest.raises(ValueError, match="train_labels hold 'fig', which is none of the 2 classes"):
        read_npz(
            write(
                tmp_path / "more.npz",
                train_labels=WORDS,
                test_labels=WORDS[:6],
                classes=np.array(["apple", "pear"]),
            )
        )


def test_a_relative_path_starts_in_the_working_directory_then_in_the_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, root = tmp_path / "here", tmp_path / "root"
    here.mkdir()
    root.mkdir()
    monkeypatch.chdir(here)
    write(root / "my.npz", test_images=IMAGES[:3], test_labels=LABELS[:3])
    assert len(load("npz:my.npz", root=root).test) == 3
    write(here / "my.npz")
    assert len(load("npz:my.npz", root=root).test) == 6


def test_an_absent_file_says_where_it_was_sought(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = f"my.npz is absent; check the spelling, or point --data.root at .* (looked in {tmp_path} and {tmp_path}/x)"
    with pytest.raises(FileNotFoundError, match=text.replace("(", r"\(").replace(")", r"\)")):
        load("npz:my.npz", root=tmp_path / "x")


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "floats": (
        {"train_images": IMAGES / 255},
        "train_images must be uint8 (levels 0..255), got float64; store (images * 255).round().astype('uint8')",
    ),
    "int64": ({"test_images": IMAGES[:6].astype(np.int64)}, "test_images must be uint8 (levels 0..255), got int64"),
    "4 channels": (
        {"train_images": np.zeros((30, 6, 5, 4), np.uint8)},
        "(N, H, W, 1) or (N, H, W, 3), got (30, 6, 5, 4); drop the alpha channel: images[..., :3]",
    ),
    "channels first": (
        {"train_images": np.zeros((30, 3, 6, 5), np.uint8)},
        "got (30, 3, 6, 5); channels come last: images.transpose(0, 2, 3, 1)",
    ),
    "flat": ({"train_images": IMAGES.reshape(30, -1)}, "train_images must have the shape (N, H, W), "),
    "keys": (
        {"test_images": None, "test_labels": None, "x_test": IMAGES},
        "test_images, test_labels missing; the file has train_images, train_labels, x_test",
    ),
    "lengths": ({"train_labels": LABELS[:29]}, "train_images has 30 images, but train_labels 29 labels"),
    "empty": ({"test_images": IMAGES[:0], "test_labels": LABELS[:0]}, "test_images has 0 images, but test_labels 0"),
    "float labels": (
        {"train_labels": LABELS / 1},
        "train_labels must be whole numbers or words of shape (N,), got float64 (30,)",
    ),
    "one-hot labels": (
        {"test_labels": np.eye(6, 3, dtype=int)},
        "test_labels must be whole numbers or words of shape (N,)",
    ),
    "high label": (
        {"test_labels": LABELS[:6] + 1, "classes": np.array(["a", "b", "c"])},
        "test_labels must lie in 0..2 (3 classes), found 3",
    ),
    "negative label": ({"train_labels": LABELS - 1}, "train_labels must lie in 0..2 (3 classes), found -1"),
    "objects": (
        {"classes": np.array(["a", None], object)},
        "arrays of Python objects are refused, they could run code",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_named_with_what_was_expected_and_found(tmp_path: Path, name: str) -> None:
    changes, text = BAD[name]
    path = write(tmp_path / "my.npz", **changes)
    with pytest.raises(ValueError, match=re.escape(str(path)) + ": .*" + re.escape(text)):
        read_npz(path)


def test_a_file_cut_short_or_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "my.npz")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"my.npz: not an npz file, or cut short; write it with numpy.savez"):
        read_npz(path)


def test_a_flipped_bit_is_noticed(tmp_path: Path) -> None:
    path = write(tmp_path / "my.npz")
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"my.npz: Bad CRC-32 for file 'train_images.npy'"):
        read_npz(path)


def test_a_single_class_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "my.npz", train_labels=LABELS * 0, test_labels=LABELS[:6] * 0)
    with pytest.raises(
        ValueError, match=r"my.npz: train_labels and test_labels must hold at least 2 classes, found only 0"
    ):
        read_npz(path)
