"""Data that are not ours: arrays, PyTorch's data sets, folders, a function, torchvision's sets, parquet files."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from robustcnn.data import ResidentDataset, load
from robustcnn.data.resident import as_pixels

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 256, (6, 8, 10, 3), dtype=np.uint8)
LABELS = [0, 1, 2, 0, 1, 2]


def test_channels_are_found_by_the_shape_first_or_last() -> None:
    last = ResidentDataset.from_arrays(COLOUR, LABELS)
    first = ResidentDataset.from_arrays(COLOUR.transpose(0, 3, 1, 2), LABELS)
    assert last.spec.shape == (3, 8, 10)
    assert last.fingerprint == first.fingerprint
    assert ResidentDataset.from_arrays(COLOUR[..., 0], LABELS).spec.shape == (1, 8, 10)
    assert last.spec.mean == pytest.approx((COLOUR / 255).mean((0, 1, 2)))


def test_a_shape_that_may_be_either_is_asked_about() -> None:
    both = RNG.random((2, 3, 5, 3)).astype(np.float32)
    with pytest.raises(ValueError, match="may be either: say layout='NCHW' or layout='NHWC'"):
        ResidentDataset.from_arrays(both, [0, 1])
    assert ResidentDataset.from_arrays(both, [0, 1], layout="NHWC").spec.shape == (3, 3, 5)
    assert ResidentDataset.from_arrays(both, [0, 1], layout="NCHW").spec.shape == (3, 5, 3)


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (COLOUR * 1.0, r"float images must lie in \[0, 1\], got 0 to 255 \(divide by 255"),
        (COLOUR / 255 - 0.5, "undo the normalisation"),
        (COLOUR.astype(np.int64) * 2, r"levels in 0\.\.255, got 0\.\.510"),
        (COLOUR.reshape(6, -1), "images must be .N, H, W., .* got .6, 240."),
        (np.zeros((6, 8, 8, 4), np.uint8), "with 1 or 3 channels, got .6, 8, 8, 4."),
    ],
)
def test_pixels_in_other_units_are_refused_with_the_cure(images: np.ndarray, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ResidentDataset.from_arrays(images, LABELS)


def test_the_same_numbers_in_any_type_are_the_same_data() -> None:
    as_bytes = ResidentDataset.from_arrays(COLOUR, LABELS)
    assert ResidentDataset.from_arrays(COLOUR.astype(np.int32), LABELS).fingerprint == as_bytes.fingerprint
    floats = ResidentDataset.from_arrays(torch.from_numpy(COLOUR.copy()).double() / 255, LABELS)
    assert floats.images.dtype == torch.float32
    torch.testing.assert_close(floats.images, as_bytes.images / 255)


@pytest.mark.parametrize(
    "given",
    [
        list,
        lambda images: [torch.from_numpy(each) for each in images],
        lambda images: np.array([None, *list(images)], dtype=object)[1:],
        lambda images: images[:, ::-1][:, ::-1],
        lambda images: (torch.from_numpy(images) / 255).requires_grad_(),
    ],
    ids=["list", "tensors", "column", "strides", "gradient"],
)
def test_pictures_in_any_container_are_the_same_data(given: Callable[[np.ndarray], object]) -> None:
    data = ResidentDataset.from_arrays(given(COLOUR), LABELS)
    torch.testing.assert_close(as_pixels(data.images), as_pixels(torch.from_numpy(COLOUR).permute(0, 3, 1, 2)))
    assert not data.images.requires_grad


def test_true_is_white() -> None:
    data = ResidentDataset.from_arrays(COLOUR[..., 0] > 127, LABELS)
    assert data.images.unique().tolist() == [0, 255]


@pytest.mark.parametrize(
    ("images", "labels", "said"),
    [
        (COLOUR.astype(complex), LABELS, "images must hold numbers, got complex128"),
        (COLOUR.astype(str), LABELS, "images must hold numbers, got <U"),
        ([COLOUR[0], COLOUR[1, :4]], LABELS[:2], r"images must be of one shape, got \(8, 10, 3\), \(4, 10, 3\)"),
        (np.where(COLOUR > 200, np.nan, COLOUR / 255), LABELS, "images must be finite, got nan"),
        (COLOUR, [0, 10**12] * 3, r"labels must lie in 0..65,535, got 1,000,000,000,000 .are they classes"),
        (COLOUR, [1, "a"] * 3, "labels name|labels must be"),
        (COLOUR, np.array([1, "a"] * 3, dtype=object), "labels must be whole numbers or words, got object"),
    ],
    ids=["complex", "words", "sizes", "not a number", "huge label", "mixed list", "mixed column"],
)
def test_what_is_no_picture_or_no_class_is_refused(images: Any, labels: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ResidentDataset.from_arrays(images, labels, classes=["a"] if isinstance(labels[1], str) else None)


@pytest.mark.parametrize("classes", ["abc", ["a", "b", "b"]])
def test_class_names_are_a_list_in_which_each_is_once(classes: Any) -> None:
    with pytest.raises(ValueError, match="classes must be a list of names, each once, got"):
        ResidentDataset.from_arrays(COLOUR, LABELS, classes=classes)
    with pytest.raises(ValueError, match=r"labels must be of shape .N,., at least one, got"):
        ResidentDataset.from_arrays(COLOUR, None)


def test_a_tables_column_of_words_or_numbers_holds_labels() -> None:
    words = ResidentDataset.from_arrays(COLOUR, np.array(["b", "a", "c"] * 2, dtype=object))
    assert (words.classes, words.labels.tolist()) == (("a", "b", "c"), [1, 0, 2] * 2)
    numbers = ResidentDataset.from_arrays(COLOUR, np.array(LABELS, dtype=object))
    assert numbers.labels.tolist() == LABELS


def test_an_array_is_not_shared() -> None:
    images = COLOUR.copy()
    data = ResidentDataset.from_arrays(images, LABELS)
    before = data.fingerprint
    images[:] = 0
    assert ResidentDataset(images=data.images, labels=data.labels, spec=data.spec).fingerprint == before


def test_labels_may_be_words_in_an_order_of_ones_own() -> None:
    words = ["cat", "dog", "ant", "cat", "dog", "ant"]
    data = ResidentDataset.from_arrays(COLOUR, words)
    assert (data.classes, data.labels.tolist()) == (("ant", "cat", "dog"), [1, 2, 0, 1, 2, 0])
    told = ResidentDataset.from_arrays(COLOUR, words, classes=["dog", "cat", "ant"])
    assert told.labels.tolist() == [1, 0, 2, 1, 0, 2]
    with pytest.raises(ValueError, match="labels name 'ant', which is none of the classes dog, cat"):
        ResidentDataset.from_arrays(COLOUR, words, classes=["dog", "cat"])


class Pairs:
    classes = ("no", "yes")

    def __init__(self, pictures: list[object]) -> None:
        self.pictures = pictures

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> tuple[object, object]:
        return self.pictures[index], torch.tensor(index % 2)


def test_a_torch_data_set_is_taken_with_its_transforms() -> None:
    from torchvision.transforms.functional import normalize, to_tensor

    pictures = [Image.fromarray(each) for each in COLOUR]
    plain, tensors = (
        ResidentDataset.from_torch(Pairs(each)) for each in (pictures, [to_tensor(each) for each in pictures])
    )
    assert plain.classes == ("no", "yes")
    assert plain.images.dtype == tensors.images.dtype == torch.uint8
    assert plain.fingerprint == tensors.fingerprint
    normalised = [normalize(to_tensor(each), [0.5] * 3, [0.5] * 3) for each in pictures]
    with pytest.raises(ValueError, match="undo the normalisation"):
        ResidentDataset.from_torch(Pairs(normalised))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="pictures must be of one size"):
        ResidentDataset.from_torch(Pairs([*pictures, pictures[0].resize((4, 4))]))


def test_a_folder_is_taken_whole(tmp_path: Path) -> None:
    for index, each in enumerate(COLOUR):
        place = tmp_path / f"class{index % 2}"
        place.mkdir(exist_ok=True)
        Image.fromarray(each).save(place / f"{index}.png")
    data = ResidentDataset.from_folder(tmp_path, size=8)
    assert data.classes == ("class0", "class1")
    assert data.counts.tolist() == [3, 3]
    assert data.spec.shape == (3, 8, 8)
    assert max(data.spec.mean) > 0.3


def test_a_function_of_the_users_own_is_a_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_data.py").write_text(
        "import numpy as np\n"
        "images = np.random.default_rng(0).integers(0, 256, (40, 8, 8), dtype=np.uint8)\n"
        "def parts():\n    return (images[:30], [0, 1, 2] * 10), (images[30:], [0, 1] * 5, ['a', 'b', 'c'])\n"
        "def one():\n    return images\n"
    )
    monkeypatch.chdir(tmp_path)
    splits = load("own_data:parts")
    assert [len(part) for part in splits] == [27, 3, 10]
    with pytest.raises(ValueError, match=r"must return \(training, test\).*got ndarray"):
        load("own_data:one")
    with pytest.raises(ValueError, match="cannot find own_data:none"):
        load("own_data:none")


def test_a_torchvision_set_comes_from_the_root_and_is_not_downloaded_unasked(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"torchvision:SVHN is absent from .*--data\.download fetches it"):
        load("torchvision:SVHN", root=tmp_path)
    with pytest.raises(ValueError, match="torchvision has no data set 'SVNH'"):
        load("torchvision:SVNH", root=tmp_path)


def test_a_torchvision_set_that_is_there_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "KMNIST" / "raw"
    folder.mkdir(parents=True)
    for part, count in (("train", 20), ("t10k", 10)):
        images = RNG.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = np.arange(count, dtype=np.uint8) % 10
        (folder / f"{part}-images-idx3-ubyte").write_bytes(
            b"\x00\x00\x08\x03" + b"".join(n.to_bytes(4, "big") for n in (count, 28, 28)) + images.tobytes()
        )
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(
            b"\x00\x00\x08\x01" + count.to_bytes(4, "big") + labels.tobytes()
        )
    splits = load("torchvision:KMNIST", root=tmp_path)
    assert [len(part) for part in splits] == [18, 2, 10]
    assert splits.test.spec.shape == (1, 28, 28)
    assert splits.test.classes[0] == "o"
    assert torch.equal(splits.test.images[0, 0], torch.from_numpy(images[0]))


def png(picture: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()


def test_a_local_copy_in_parquet_is_read(tmp_path: Path) -> None:
    import pyarrow as arrow
    from pyarrow import parquet

    told = {"info": {"features": {"label": {"names": ["cat", "dog", "ant"]}}}}
    for part in ("train-00000", "test-00000"):
        table = arrow.table({"image": [{"bytes": png(each), "path": None} for each in COLOUR], "label": LABELS})
        table = table.replace_schema_metadata({"huggingface": json.dumps(told)})
        parquet.write_table(table, tmp_path / f"{part}.parquet")
    splits = load(f"hf:{tmp_path}", validation=0.4)
    assert splits.test.classes == ("cat", "dog", "ant")
    assert torch.equal(splits.test.images, ResidentDataset.from_arrays(COLOUR, LABELS).images)
    assert len(splits.train) + len(splits.validation) == 6
    (tmp_path / "test-bad.parquet").write_text("<html>")
    with pytest.raises(ValueError, match="no parquet or arrow file"):
        load(f"hf:{tmp_path / 'test-bad.parquet'}")
