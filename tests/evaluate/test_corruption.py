"""Corruptions: known answers, severities that grow, and the accuracy table."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from robustcnn.core.runtime import seeded
from robustcnn.data.registry import DataConfig, load
from robustcnn.data.resident import ResidentDataset
from robustcnn.evaluate.corruption import CORRUPTIONS, corrupt, corruption_scores, mean_accuracy


@pytest.fixture(scope="module")
def signs() -> Tensor:
    return next(load(DataConfig(name="signs", limit=200)).test.batches(32))[0]


@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_higher_severity_changes_more_and_stays_in_range(name: str, channels: int, signs: Tensor) -> None:
    images = signs[:, :channels]
    worse = [corrupt(images, name, severity, generator=seeded(0)) for severity in range(1, 6)]
    errors = [(each - images).square().mean().item() for each in worse]
    assert errors == sorted(errors)
    assert errors[0] > 0
    assert all(each.shape == images.shape and each.min() >= 0 and each.max() <= 1 for each in worse)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_one_seed_gives_one_answer(name: str, signs: Tensor) -> None:
    first, second = (corrupt(signs, name, 3, generator=seeded(5)) for _ in range(2))
    assert torch.equal(first, second)


def test_brightness_adds_and_contrast_shrinks_towards_the_mean() -> None:
    images = torch.tensor([0.2, 0.4]).view(1, 1, 1, 2)
    generator = seeded(0)
    torch.testing.assert_close(corrupt(images, "brightness", 2, generator=generator).flatten().tolist(), [0.3, 0.5])
    torch.testing.assert_close(corrupt(images, "contrast", 2, generator=generator).flatten().tolist(), [0.25, 0.35])


def test_pixelate_shows_the_means_of_blocks() -> None:
    images = torch.rand(2, 1, 4, 4, generator=seeded(0))
    seen = corrupt(images, "pixelate", 3, generator=seeded(0))
    means = images.view(2, 1, 2, 2, 2, 2).mean((3, 5))
    torch.testing.assert_close(seen[..., ::2, ::2], means)
    torch.testing.assert_close(seen[..., 1::2, 1::2], means)


def test_gaussian_noise_has_the_stated_deviation() -> None:
    images = torch.full((4, 3, 64, 64), 0.5)
    noise = corrupt(images, "gaussian noise", 1, generator=seeded(0)) - images
    assert noise.std().item() == pytest.approx(0.04, rel=0.02)


class Brightest(nn.Module):
    """Tells the class by the brightest third, which a flat change of brightness does not move."""

    def forward(self, images: Tensor) -> Tensor:
        return torch.stack([part.mean((1, 2, 3)) for part in images.split(4, dim=3)], 1)


def test_the_table_holds_every_corruption_at_five_severities(tiny: ResidentDataset) -> None:
    scores = corruption_scores(Brightest(), tiny, names=["contrast", "impulse noise"])
    assert [(each.corruption, len(each.accuracy)) for each in scores] == [("contrast", 5), ("impulse noise", 5)]
    assert all(share.hits == share.count == 60 for share in scores[0].accuracy)
    assert mean_accuracy(scores) == pytest.approx(
        sum(share.hits for score in scores for share in score.accuracy) / 600, abs=1e-12
    )


def test_an_unknown_name_and_severity_are_refused(signs: Tensor) -> None:
    with pytest.raises(ValueError, match="did you mean 'pixelate'"):
        corrupt(signs, "pixelat", 1, generator=seeded(0))
    with pytest.raises(ValueError, match=r"severity must lie in 1\.\.5, got 6"):
        corrupt(signs, "jpeg", 6, generator=seeded(0))
