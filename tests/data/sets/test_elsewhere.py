"""Other libraries' data sets, with their own words for the parts."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from robustcnn.data import ResidentDataset, load

COLOUR = np.random.default_rng(0).integers(0, 256, (6, 8, 10, 3), dtype=np.uint8)
LABELS = [0, 1, 2, 0, 1, 2]


def png(picture: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize("stream", [True, False])
def test_a_local_copy_in_arrow_is_read_with_its_parts_in_folders(tmp_path: Path, stream: bool) -> None:
    import pyarrow as arrow

    # In a folder whose own name is no part's, and with names that only hold the word of one.
    root = tmp_path / "test" / "latest"
    for part, count in (("train", 6), ("test", 3)):
        table = arrow.table({"image": [png(each) for each in COLOUR[:count]], "label": LABELS[:count]})
        (root / part).mkdir(parents=True)
        with arrow.OSFile(str(root / part / "data-00000-of-00001.arrow"), "wb") as file:
            new = arrow.ipc.new_stream if stream else arrow.ipc.new_file
            with new(file, table.schema) as writer:
                writer.write_table(table)
    splits = load(f"hf:{root}", validation=0.4)
    assert len(splits.train) + len(splits.validation) == 6
    assert torch.equal(splits.test.images, ResidentDataset.from_arrays(COLOUR, LABELS).images[:3])


class Parts:
    """Of torchvision's way to write a data set, with its own words for the parts."""

    words = ("trainval", "val")
    labels: tuple[object, ...] = (0, 1, 2)

    def __init__(self, _: str, split: str = "trainval") -> None:
        from torchvision.datasets.utils import verify_str_arg

        self.count = 6 if verify_str_arg(split, "split", self.words) == "trainval" else 3

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[object, object]:
        return Image.fromarray(COLOUR[index]), self.labels[index % 3]


class Attributes(Parts):
    labels = (torch.zeros(40),) * 3


class Unnamed(Parts):
    words = ("a", "b")


def test_a_torchvision_set_may_call_its_parts_otherwise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision import datasets

    for kind in (Parts, Attributes, Unnamed):
        monkeypatch.setattr(datasets, kind.__name__, kind, raising=False)
    splits = load("torchvision:Parts", root=tmp_path, validation=0.4)
    assert [len(splits.train) + len(splits.validation), len(splits.test)] == [6, 3]
    with pytest.raises(ValueError, match="torchvision:Attributes must have one class a picture, got tensor"):
        load("torchvision:Attributes", root=tmp_path)
    with pytest.raises(ValueError, match="torchvision:Unnamed refuses: Unknown value 'train-standard'"):
        load("torchvision:Unnamed", root=tmp_path)
    with pytest.raises(FileNotFoundError, match="torchvision:EMNIST is absent from"):
        load("torchvision:EMNIST", root=tmp_path)
