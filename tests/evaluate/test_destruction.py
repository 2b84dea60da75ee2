"""Accuracies on photographs and the destruction rate, against hand-built answers."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from robustcnn.attacks.gradient import PGD
from robustcnn.core.threat import ThreatModel
from robustcnn.data.resident import ResidentDataset, as_pixels
from robustcnn.evaluate.destruction import destruction_rate, kurakin_attacks, photographed


def flags(digits: str) -> Tensor:
    return torch.tensor([digit == "1" for digit in digits])


def test_the_rate_is_the_papers_formula() -> None:
    # Successes are the first three; of these, one is right again. Nothing else counts.
    share = destruction_rate(flags("111100"), flags("000101"), flags("100111"))
    assert (share.hits, share.count) == (1, 3)
    assert share.low < 1 / 3 < share.high


def test_without_a_success_there_is_no_rate() -> None:
    assert destruction_rate(flags("10"), flags("10"), flags("11")).value is None


def test_rights_must_be_alike() -> None:
    with pytest.raises(ValueError, match=r"must be bool of one shape \(N,\), got \(2,\), \(2,\) and \(3,\)"):
        destruction_rate(flags("10"), flags("10"), flags("110"))


@pytest.mark.parametrize(("levels", "steps"), [(2, 3), (4, 5), (8, 10), (16, 20), (100, 104)])
def test_steps_are_of_one_grey_level_and_as_many_as_the_paper_says(levels: int, steps: int) -> None:
    fast, basic, least = kurakin_attacks(levels / 255).values()
    assert (basic.steps, least.steps, fast.steps) == (steps, steps, 1)  # type: ignore[attr-defined]
    assert basic.step_size == least.step_size == 1 / 255  # type: ignore[attr-defined]
    assert (fast.target, basic.target, least.target) == ("none", "none", "least")


class Thirds(nn.Module):
    """Tells the class by the brightest third."""

    def forward(self, images: Tensor) -> Tensor:
        return 20 * torch.stack([part.mean((1, 2, 3)) for part in images.split(4, dim=3)], 1)


def as_it_is(images: Tensor, *, generator: torch.Generator) -> Tensor:
    return images


BALL = ThreatModel(eps=100 / 255)


def test_a_perfect_photograph_destroys_nothing(tiny: ResidentDataset) -> None:
    score = photographed(Thirds(), tiny, kurakin_attacks(BALL.eps)["fast"], BALL, channel=as_it_is)
    assert score.clean == score.clean_photo
    assert score.adversarial == score.adversarial_photo
    assert score.clean.hits == 60
    assert score.destroyed.hits == 0 < score.destroyed.count


def test_a_photograph_that_shows_the_clean_picture_destroys_all(tiny: ResidentDataset) -> None:
    def restored(images: Tensor, *, generator: torch.Generator) -> Tensor:
        return as_pixels(tiny.images)

    score = photographed(Thirds(), tiny, kurakin_attacks(BALL.eps)["basic iterative"], BALL, channel=restored)
    assert score.adversarial.hits < 60 == score.adversarial_photo.hits
    assert score.destroyed.value == 1


def test_the_rate_asks_for_the_clean_picture_and_not_for_its_photograph(tiny: ResidentDataset) -> None:
    def black(images: Tensor, *, generator: torch.Generator) -> Tensor:
        return 0 * images

    score = photographed(Thirds(), tiny, kurakin_attacks(BALL.eps)["fast"], BALL, channel=black)
    assert score.clean_photo.hits == 20
    assert score.destroyed.count == 60 - score.adversarial.hits


def test_batches_and_seeds_are_seen(tiny: ResidentDataset) -> None:
    attack = kurakin_attacks(BALL.eps)["fast"]
    whole, parts = (photographed(Thirds(), tiny, attack, BALL, channel=as_it_is, batch_size=size) for size in (256, 7))
    assert whole == parts
    assert photographed(Thirds(), tiny, attack, BALL, seed=3) == photographed(Thirds(), tiny, attack, BALL, seed=3)


def test_an_attack_that_stops_early_is_refused(tiny: ResidentDataset) -> None:
    with pytest.raises(ValueError, match=r"hardly survive: PGD\(stop=True\) needs stop=False"):
        photographed(Thirds(), tiny, PGD(stop=True), BALL)
