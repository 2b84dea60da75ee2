from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from report_examples import make_gallery
from torch import Tensor, nn

from robustcnn.data.resident import ResidentDataset
from robustcnn.report.gallery import gallery_of, read_gallery, write_gallery


class Brightest(nn.Module):
    """Says which third of the picture is brightest."""

    def forward(self, images: Tensor) -> Tensor:
        return 10 * images.mean(1).unflatten(2, (3, 4)).mean((1, 3))


@pytest.mark.parametrize(("change", "factor"), [(8 / 255, 10), (0.3, 1), (1 / 255, 100), (0.9, 0.5), (0.25, 2), (0, 1)])
def test_the_amplification_is_round_and_keeps_the_change_within_the_grey_scale(change: float, factor: float) -> None:
    pictures = make_gallery(count=1)
    clean = torch.zeros_like(pictures.clean)
    assert replace(pictures, clean=clean, adversarial=clean + change).amplification == pytest.approx(factor)


def test_examples_that_the_attack_turned_come_first(tiny: ResidentDataset) -> None:
    adversarial = tiny.images / 255
    adversarial[7] = adversarial[8]
    adversarial[31] = adversarial[32]
    pictures = gallery_of(Brightest(), tiny, adversarial, threat="linf 8/255", count=3)
    assert torch.equal(pictures.clean, tiny.images[[7, 31, 0]] / 255)
    assert torch.equal(pictures.adversarial, adversarial[[7, 31, 0]])
    assert pictures.truth == ("middle", "middle", "left")
    assert [answer for answer, _ in pictures.before] == ["middle", "middle", "left"]
    assert [answer for answer, _ in pictures.after] == ["right", "right", "left"]
    expected = Brightest()(adversarial[[7]]).softmax(1).max().item()
    assert pictures.after[0][1] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"clean": torch.zeros(5, 2, 28, 28)}, r"clean must be images \(N, 1 or 3, H, W\), got \(5, 2, 28, 28\)"),
        ({"adversarial": torch.zeros(4, 1, 28, 28)}, r"must have the shape of clean, \(5, 1, 28, 28\), got \(4, 1,"),
        ({"truth": ("a",)}, r"need one entry an image \(5\), got 1, 5 and 5"),
    ],
)
def test_pictures_that_do_not_belong_together_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(make_gallery(), **changes)  # type: ignore[arg-type]


def test_a_gallery_that_was_kept_comes_back_whole(tmp_path: Path) -> None:
    kept = make_gallery(3, names=("<b>", "ü", "c", "d", "e"))
    write_gallery(tmp_path / "new" / "gallery.safetensors", kept)
    read = read_gallery(tmp_path / "new" / "gallery.safetensors")
    assert torch.equal(read.clean, kept.clean)
    assert torch.equal(read.adversarial, kept.adversarial)
    words = ("truth", "before", "after", "threat")
    assert [getattr(read, name) for name in words] == [getattr(kept, name) for name in words]
